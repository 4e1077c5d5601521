/* SPDX-License-Identifier: Apache-2.0 */
#include "host/fuota_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "host/clock.h"

#define CONNECT_MS 30000L
#define REPORT_MS 15000L
#define REPORT_TRIES 4u
#define REPORT_GAP_MS 2000u /* doubled after each try */
#define REPORT_MAX 2048u    /* bytes: texts of 255, escaped */
#define VALUE_MAX 1024      /* bytes of a header's value; a longer one is not looked at */
#define AT_ONCE 64          /* events of one epoll_wait */

/* --- sockets and time: curl's side ----------------------------------------------------------- */

static struct otter_fuota_socket *free_socket(struct otter_fuota_client *c)
{
    for (size_t i = 0; i < OTTER_FUOTA_CLIENT_SOCKETS; i++) {
        if (c->sockets[i].client == NULL) {
            return &c->sockets[i];
        }
    }
    return NULL;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known)
{
    struct otter_fuota_client *c = ctx;
    struct otter_fuota_socket *s = known;
    struct epoll_event event = {0};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s != NULL) {
            epoll_ctl(c->config.epoll, EPOLL_CTL_DEL, fd, NULL);
            s->client = NULL;
        }
        return 0;
    }
    int how = s != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    s = s != NULL ? s : free_socket(c);
    if (s == NULL) {
        return -1;
    }
    s->fd = fd;
    event.events =
        ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) | ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u);
    event.data.ptr = s;
    if (epoll_ctl(c->config.epoll, how, fd, &event) != 0) {
        return -1;
    }
    s->client = c;
    return curl_multi_assign(c->multi, fd, s) == CURLM_OK ? 0 : -1;
}

static int on_timer(CURLM *multi, long ms, void *ctx)
{
    struct otter_fuota_client *c = ctx;

    (void)multi;
    c->timed = ms >= 0;
    c->timer_at = otter_clock_ms() + (uint32_t)(ms > 0 ? ms : 0);
    return 0;
}

/* Milliseconds from now until then, 0 when it has passed. */
static uint32_t until(uint32_t then, uint32_t now)
{
    return then - now <= INT32_MAX ? then - now : 0;
}

void otter_fuota_client_events(int epoll, int timeout_ms)
{
    struct epoll_event events[AT_ONCE];
    int count = epoll_wait(epoll, events, AT_ONCE, timeout_ms);
    int running;

    for (int i = 0; i < count; i++) {
        const struct otter_fuota_socket *s = events[i].data.ptr;
        int what = ((events[i].events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                   ((events[i].events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                   ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);

        if (s->client != NULL) {
            s->client->touched = true;
            curl_multi_socket_action(s->client->multi, s->fd, what, &running);
        }
    }
}

/* --- the answer ------------------------------------------------------------------------------ */

/* "Name: value" for the machine. */
static void give_header(struct otter_fuota_client *c, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    char name[64], value[VALUE_MAX];

    if (colon == NULL || (size_t)(colon - line) >= sizeof(name)) {
        return;
    }
    size_t n = (size_t)(colon - line);
    memcpy(name, line, n);
    name[n] = '\0';
    for (line = colon + 1, len -= n + 1; len > 0 && (*line == ' ' || *line == '\t'); len--) {
        line++;
    }
    while (len > 0 && strchr(" \t\r\n", line[len - 1]) != NULL) {
        len--;
    }
    if (len < sizeof(value) && memchr(line, '\0', len) == NULL) {
        memcpy(value, line, len);
        value[len] = '\0';
        otter_fuota_header(&c->machine, name, value);
    }
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct otter_fuota_client *c = ctx;
    size_t len = size * count;

    if (c->reporting || c->headed) {
        return len;
    }
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
        long status = 0;

        curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
        c->status = (uint16_t)status;
    } else if (c->status >= 200 && (line[0] == '\r' || line[0] == '\n')) {
        c->headed = true;
        /* An error comes again with the body, or with the answer's end. */
        otter_err err = otter_fuota_head(&c->machine, c->status, otter_clock_ms());
        (void)err;
    } else if (c->status >= 200) { /* "103 Early Hints" is not the answer */
        give_header(c, line, len);
    }
    return len;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct otter_fuota_client *c = ctx;
    size_t len = size * count;

    if (c->reporting) {
        return len;
    }
    if (c->config.step != 0 && c->taken > 0 && c->taken + len > c->config.step) {
        c->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    c->taken += (uint32_t)len;
    otter_err err = otter_fuota_body(&c->machine, (const uint8_t *)data, len, otter_clock_ms());
    return err == OTTER_OK ? len : CURL_WRITEFUNC_ERROR;
}

/* --- requests -------------------------------------------------------------------------------- */

static bool make_multi(struct otter_fuota_client *c)
{
    if (c->multi == NULL && (c->multi = curl_multi_init()) != NULL) {
        curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
        curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
        curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
        curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, 1L);
    }
    if (c->easy == NULL) {
        c->easy = curl_easy_init();
    } else {
        curl_easy_reset(c->easy);
    }
    return c->multi != NULL && c->easy != NULL;
}

static void add_header(struct otter_fuota_client *c, const char *name, const char *value)
{
    char line[OTTER_FUOTA_URL_MAX];

    if (value != NULL && value[0] != '\0') {
        snprintf(line, sizeof(line), "%s: %s", name, value);
        struct curl_slist *all = curl_slist_append(c->headers, line);

        c->headers = all != NULL ? all : c->headers;
    }
}

/* What every request has. False: no memory. */
static bool prepare(struct otter_fuota_client *c, const char *url, bool authorize)
{
    if (!make_multi(c)) {
        return false;
    }
    c->error[0] = '\0';
    c->paused = c->headed = false;
    c->status = 0;
    otter_https_apply(c->config.https, c->easy, authorize);
    curl_easy_setopt(c->easy, CURLOPT_URL, url);
    curl_easy_setopt(c->easy, CURLOPT_USERAGENT, "otter-device");
    curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(c->easy, CURLOPT_RESOLVE, c->config.resolve);
    curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    if (c->config.step != 0) {
        long size = c->config.step < 16384 ? (long)c->config.step : 16384;

        curl_easy_setopt(c->easy, CURLOPT_BUFFERSIZE, size);
    }
    return true;
}

static bool start(struct otter_fuota_client *c)
{
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    c->busy = curl_multi_add_handle(c->multi, c->easy) == CURLM_OK;
    return c->busy;
}

static void hang_up(struct otter_fuota_client *c, bool close)
{
    if (c->busy) {
        curl_multi_remove_handle(c->multi, c->easy);
        c->busy = false;
    }
    curl_slist_free_all(c->headers);
    c->headers = NULL;
    c->reporting = c->paused = false;
    if (close) {
        curl_easy_cleanup(c->easy);
        curl_multi_cleanup(c->multi);
        c->easy = NULL;
        c->multi = NULL;
        c->timed = false;
    }
}

static bool ask(struct otter_fuota_client *c)
{
    const struct otter_fuota_request *r = &c->machine.request;

    if (!prepare(c, r->url, r->authorize)) {
        return false;
    }
    curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_TIME, (long)((r->timeout_ms + 999u) / 1000u));
    add_header(c, "Range", r->range);
    add_header(c, "If-Range", r->if_range);
    add_header(c, "Otter-Running", r->authorize ? c->config.running : NULL);
    return start(c);
}

static otter_err err_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return OTTER_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return OTTER_ERR_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return OTTER_ERR_REFUSED;
    default:
        return OTTER_ERR_LINK;
    }
}

/* --- reports --------------------------------------------------------------------------------- */

bool otter_fuota_client_report(struct otter_fuota_client *c,
                               const struct otter_fuota_report *report, uint32_t now_ms)
{
    if (c->reporting) {
        hang_up(c, false);
    }
    free(c->report);
    c->report = malloc(REPORT_MAX);
    if (c->report != NULL && otter_fuota_report_body(c->report, REPORT_MAX, report) != OTTER_OK) {
        free(c->report);
        c->report = NULL;
    }
    c->report_tries = 0;
    c->report_at = now_ms;
    return c->report != NULL;
}

bool otter_fuota_client_has_report(const struct otter_fuota_client *c)
{
    return c->report != NULL;
}

static bool send_report(struct otter_fuota_client *c)
{
    const struct otter_fuota_config *config = &c->machine.config;
    char url[2 * OTTER_FUOTA_URL_MAX];

    if (otter_fuota_report_url(url, sizeof(url), config->server, config->device_id) != OTTER_OK) {
        return false;
    }
    if (!prepare(c, url, true)) {
        return false;
    }
    add_header(c, "Content-Type", "application/json");
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->report);
    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, REPORT_MS);
    c->reporting = true;
    return start(c);
}

/* Another try helps when the server was not there, or said that it is busy. */
static void end_report(struct otter_fuota_client *c, CURLcode code, uint32_t now)
{
    long status = 0;

    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    bool later = code != CURLE_OK || status == 429 || (status >= 500 && status != 501);
    if (!later || ++c->report_tries >= REPORT_TRIES) {
        free(c->report);
        c->report = NULL;
    } else {
        c->report_at = now + (REPORT_GAP_MS << c->report_tries);
    }
}

/* --- steps ----------------------------------------------------------------------------------- */

/* The request is over. */
static void finish(struct otter_fuota_client *c, CURLcode code)
{
    if (c->reporting) {
        end_report(c, code, otter_clock_ms());
        hang_up(c, false);
    } else {
        hang_up(c, false);
        otter_fuota_end(&c->machine, err_of(code), otter_clock_ms());
    }
    if (c->config.one_connection && otter_fuota_is_idle(&c->machine)) {
        hang_up(c, true);
    }
}

/* curl's own time, the body that waits, and requests that are over. */
static void drive(struct otter_fuota_client *c)
{
    int running, left;
    CURLMsg *message;

    c->taken = 0;
    if (c->paused) {
        c->paused = false;
        CURLcode code = curl_easy_pause(c->easy, CURLPAUSE_CONT);
        if (code != CURLE_OK) { /* no message comes of that */
            finish(c, code);
            return;
        }
    }
    if (c->timed && until(c->timer_at, otter_clock_ms()) == 0) {
        c->timed = false;
        curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    while (c->busy && (message = curl_multi_info_read(c->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            finish(c, message->data.result);
        }
    }
}

static void refuse(struct otter_fuota_client *c, uint32_t now)
{
    hang_up(c, false);
    otter_fuota_end(&c->machine, OTTER_ERR_LINK, now);
}

uint32_t otter_fuota_client_run(struct otter_fuota_client *c)
{
    uint32_t wait = 0;

    if (c->multi != NULL) {
        drive(c);
    }
    /* The machine has seen the time that curl's callbacks saw: never show it an earlier one. */
    uint32_t now = otter_clock_ms();
    if (!c->busy && c->report != NULL && otter_fuota_is_idle(&c->machine) &&
        until(c->report_at, now) == 0 && !send_report(c)) {
        hang_up(c, false);
        c->report_at = now + REPORT_GAP_MS;
    }
    if (!c->reporting) {
        switch (otter_fuota_poll(&c->machine, now, &wait)) {
        case OTTER_FUOTA_WAIT:
            break;
        case OTTER_FUOTA_ASK:
            if (!ask(c)) {
                refuse(c, now);
            }
            break;
        case OTTER_FUOTA_STOP:
            hang_up(c, false);
            otter_fuota_end(&c->machine, OTTER_ERR_TIMEOUT, now);
            break;
        case OTTER_FUOTA_RESTART:
            c->selected = true;
            wait = OTTER_FUOTA_NEVER;
            break;
        }
    } else {
        wait = OTTER_FUOTA_NEVER;
    }
    if (c->paused) {
        return 0;
    }
    if (c->report != NULL && !c->reporting && otter_fuota_is_idle(&c->machine) &&
        until(c->report_at, now) < wait) {
        wait = until(c->report_at, now);
    }
    return c->timed && until(c->timer_at, now) < wait ? until(c->timer_at, now) : wait;
}

otter_err otter_fuota_client_init(struct otter_fuota_client *c,
                                  const struct otter_fuota_client_config *config,
                                  const struct otter_fuota_config *machine, uint32_t now_ms)
{
    memset(c, 0, sizeof(*c));
    c->config = *config;
    return otter_fuota_init(&c->machine, machine, now_ms);
}

void otter_fuota_client_free(struct otter_fuota_client *c)
{
    hang_up(c, true);
    free(c->report);
    c->report = NULL;
}
