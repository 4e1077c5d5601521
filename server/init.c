/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `otterd init DIR` makes, where they are missing:
 *
 *   ca.pem, ca-key.pem           a CA of one's own; devices trust ca.pem
 *   server.pem, server-key.pem   the server's certificate; made anew each time, so that running
 *                                init again renews it without touching a device
 *   users                        names, roles, password hashes
 *   admin.login, device.login    "name:password", for people and for firmware
 */
#include "init.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "addrs.h"
#include "certs.h"
#include "users.h"

#define CA_DAYS (20 * 365)
#define SERVER_DAYS (2 * 365)
#define ALT_MAX 4096u

static int failed(const char *what, const char *path)
{
    fprintf(stderr, "otterd: cannot %s %s: %s\n", what, path,
            errno != 0 ? strerror(errno) : "failed");
    return 1;
}

static void path_in(char path[OPTION_PATH_MAX], const char *dir, const char *name)
{
    snprintf(path, OPTION_PATH_MAX, "%s/%s", dir, name);
}

static bool exists(const char *dir, const char *name)
{
    char path[OPTION_PATH_MAX];
    path_in(path, dir, name);
    return access(path, F_OK) == 0;
}

/* --- names of the server --------------------------------------------------------------------- */

static bool is_address(const char *name)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static bool good_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len < 254 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-*:") ==
               len;
}

static void add_name(char alt[ALT_MAX], const char *name)
{
    char entry[272];
    size_t used = strlen(alt);
    snprintf(entry, sizeof entry, "%s:%s", is_address(name) ? "IP" : "DNS", name);
    const char *there = strstr(alt, entry);
    size_t len = strlen(entry);
    if (good_name(name) && used + len + 2 < ALT_MAX &&
        (there == NULL || (there[len] != 0 && there[len] != ','))) {
        snprintf(alt + used, ALT_MAX - used, "%s%s", used > 0 ? "," : "", entry);
    }
}

/* A renewal without --name must not lose the name by which a fleet knows the server. */
static bool names_of_before(const char *dir, char alt[ALT_MAX])
{
    char path[OPTION_PATH_MAX];
    char name[256];
    path_in(path, dir, "server.pem");
    X509 *cert = cert_read(path);
    for (int i = 0; cert != NULL && cert_alt_name(cert, i, name, sizeof name); i++) {
        add_name(alt, name);
    }
    X509_free(cert);
    return alt[0] != 0;
}

/* What --name says; else what the certificate of before says; else this machine's name and
 * addresses. */
static void collect_names(const struct options *options, const char *dir, char alt[ALT_MAX])
{
    struct ifaddrs *list = NULL;
    char text[ADDR_TEXT_MAX];
    char host[256] = "";
    alt[0] = 0;
    for (int i = 0; i < options->name_count; i++) {
        add_name(alt, options->names[i]);
    }
    bool named = options->name_count > 0 || (!options->force && names_of_before(dir, alt));
    if (!named && gethostname(host, sizeof host - 1) == 0) {
        add_name(alt, host);
    }
    add_name(alt, "localhost");
    add_name(alt, "127.0.0.1");
    add_name(alt, "::1");
    if (!named && getifaddrs(&list) == 0) {
        for (struct ifaddrs *at = list; at != NULL; at = at->ifa_next) {
            if (at->ifa_addr != NULL && (at->ifa_flags & IFF_UP)) {
                addr_text(at->ifa_addr, text);
                if (text[0] != 0 && strncmp(text, "fe80:", 5) != 0) {
                    add_name(alt, text);
                }
            }
        }
        freeifaddrs(list);
    }
}

/* --- certificates ---------------------------------------------------------------------------- */

static bool make_ca(const char *dir)
{
    char cert_path[OPTION_PATH_MAX];
    char key_path[OPTION_PATH_MAX];
    char name[320];
    char host[256] = "otterd";
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "otterd CA of %.50s", host);
    path_in(cert_path, dir, "ca.pem");
    path_in(key_path, dir, "ca-key.pem");
    EVP_PKEY *key = cert_new_key();
    X509 *cert = key != NULL ? cert_new(key, name, NULL, CA_DAYS, NULL, NULL) : NULL;
    bool good = cert != NULL && cert_write_key(key_path, key) && cert_write(cert_path, cert, NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
    return good;
}

/* A certificate signed with another key than the CA's would be refused by every device. */
static bool belongs(const char *dir, X509 *ca, EVP_PKEY *ca_key)
{
    if (ca == NULL || ca_key == NULL || X509_check_private_key(ca, ca_key) == 1) {
        return ca != NULL && ca_key != NULL;
    }
    errno = 0; /* nothing of the system is to be told */
    fprintf(stderr, "otterd: %s/ca-key.pem is not the key of %s/ca.pem: bring the one that is\n",
            dir, dir);
    return false;
}

static bool make_server(const char *dir, const char *alt)
{
    char path[OPTION_PATH_MAX];
    char fresh[OPTION_PATH_MAX + 8];
    path_in(path, dir, "ca.pem");
    X509 *ca = cert_read(path);
    path_in(path, dir, "ca-key.pem");
    EVP_PKEY *ca_key = cert_read_key(path);
    EVP_PKEY *key = cert_new_key();
    X509 *cert = belongs(dir, ca, ca_key) && key != NULL
                     ? cert_new(key, "otterd", alt, SERVER_DAYS, ca, ca_key)
                     : NULL;
    bool good = cert != NULL;
    /* Key first: a running server that looks in between keeps what it has. */
    path_in(path, dir, "server-key.pem");
    snprintf(fresh, sizeof fresh, "%s.new", path);
    good = good && cert_write_key(fresh, key) && rename(fresh, path) == 0;
    path_in(path, dir, "server.pem");
    snprintf(fresh, sizeof fresh, "%s.new", path);
    good = good && cert_write(fresh, cert, ca) && rename(fresh, path) == 0;
    X509_free(cert);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return good;
}

/* --- credentials ----------------------------------------------------------------------------- */

static bool make_login(const char *dir, const char *name, enum role role)
{
    /* 32 letters and digits that are not mistaken for each other: 5 bits each. */
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
    unsigned char bytes[24];
    char password[sizeof bytes + 1] = "";
    char users[OPTION_PATH_MAX];
    char path[OPTION_PATH_MAX];
    char file_name[80];
    char error[512] = "";
    if (RAND_bytes(bytes, sizeof bytes) != 1) {
        return false;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        password[i] = letters[bytes[i] & 31];
    }
    path_in(users, dir, "users");
    snprintf(file_name, sizeof file_name, "%s.login", name);
    path_in(path, dir, file_name);
    unlink(path);
    FILE *file = fopen(path, "wxe");
    bool good = file != NULL && fchmod(fileno(file), 0600) == 0 &&
                fprintf(file, "%s:%s\n", name, password) > 0;
    good = file != NULL && fclose(file) == 0 && good &&
           users_write(users, name, role, password, error, sizeof error);
    OPENSSL_cleanse(password, sizeof password);
    return good;
}

/* Started as root, the server becomes another account, which must be able to read these again. */
static void share_with_account(const struct options *options, const char *dir)
{
    static const char *const names[] = {"server-key.pem", "users"};
    const struct passwd *who =
        geteuid() == 0 ? getpwnam(options->run_as != NULL ? options->run_as : "otterd") : NULL;
    for (size_t i = 0; who != NULL && i < sizeof names / sizeof names[0]; i++) {
        char path[OPTION_PATH_MAX];
        path_in(path, dir, names[i]);
        if (chown(path, 0, who->pw_gid) != 0 || chmod(path, 0640) != 0) {
            failed("change the owner of", path);
        }
    }
}

static void print_steps(const char *dir, const char *alt)
{
    bool usual = strcmp(dir, "/etc/otterd") == 0;
    char name[256] = "localhost";
    size_t at = strcspn(alt, ":") + 1;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(alt + at, ","), alt + at);
    printf("The certificate names: %s\n\n"
           "Next:\n"
           "1. Start the server:\n"
           "     %s%s%s\n"
           "2. See that it answers:\n"
           "     otter server list --url https://%s:8443 \\\n"
           "       --cacert %s/ca.pem --login %s/admin.login\n"
           "3. Build into the devices: %s/ca.pem, and the line of %s/device.login.\n\n"
           "Keep %s/ca-key.pem safe, and away from the server if you can.\n"
           "It is needed to renew the certificate, by this command, once in two years:\n"
           "without it every device must be given another CA.\n",
           alt, usual ? "systemctl enable --now otterd" : "otterd --dir ", usual ? "" : dir,
           usual ? "   (without systemd: otterd)" : " --data data", name, dir, dir, dir, dir, dir);
}

static void print_renewed(const char *dir, const char *alt)
{
    printf("Renewed %s/server.pem, for two years. It names: %s\n"
           "CA and credentials stay. A server that runs takes it within ten seconds.\n",
           dir, alt);
}

int init_run(const struct options *options)
{
    const char *dir = options->arguments[0] != NULL ? options->arguments[0] : options->dir;
    char alt[ALT_MAX];
    if (dir == NULL || (options->arguments[0] != NULL && options->arguments[1] != NULL)) {
        fputs("usage: otterd init [--name NAME]... [--force] DIR\n", stderr);
        return 2;
    }
    for (int i = 0; i < options->name_count; i++) {
        if (!good_name(options->names[i])) {
            fprintf(stderr, "otterd: \"%s\" is no host name or address\n", options->names[i]);
            return 2;
        }
    }
    errno = 0;
    if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
        return failed("make", dir);
    }
    bool renewal = !options->force && exists(dir, "server.pem") && exists(dir, "ca.pem");
    collect_names(options, dir, alt);
    if ((options->force || !exists(dir, "ca.pem")) && !make_ca(dir)) {
        return failed("make a CA in", dir);
    }
    if (!exists(dir, "ca-key.pem")) {
        fprintf(stderr, "otterd: %s/ca-key.pem is not here: bring it to renew the certificate\n",
                dir);
        return 1;
    }
    if (!make_server(dir, alt)) {
        return failed("make a certificate in", dir);
    }
    if ((options->force || !exists(dir, "users")) &&
        !(make_login(dir, "admin", ROLE_ADMIN) && make_login(dir, "device", ROLE_DEVICE))) {
        return failed("make credentials in", dir);
    }
    share_with_account(options, dir);
    (renewal ? print_renewed : print_steps)(dir, alt);
    return 0;
}

/* --- passwords ------------------------------------------------------------------------------- */

/* One line of standard input, not shown when it is typed. */
static bool read_password(char *password, size_t size)
{
    struct termios shown;
    bool typed = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &shown) == 0;
    if (typed) {
        struct termios hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        fputs("Password: ", stderr);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    bool good = fgets(password, (int)size, stdin) != NULL;
    if (typed) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        fputs("\n", stderr);
    }
    if (good) {
        password[strcspn(password, "\r\n")] = 0;
    }
    return good && password[0] != 0;
}

int passwd_run(const struct options *options)
{
    char **arguments = options->arguments;
    char password[256] = "";
    char error[512];
    enum role role;
    if (arguments[0] == NULL || arguments[1] == NULL || arguments[2] == NULL ||
        arguments[3] != NULL || !users_role(arguments[2], &role)) {
        fputs("usage: otterd passwd FILE NAME ROLE, where ROLE is admin, device or remove\n",
              stderr);
        return 2;
    }
    if (role != ROLE_NONE && !read_password(password, sizeof password)) {
        fputs("otterd: no password was given\n", stderr);
        return 1;
    }
    bool good = users_write(arguments[0], arguments[1], role, password, error, sizeof error);
    OPENSSL_cleanse(password, sizeof password);
    if (!good) {
        fprintf(stderr, "otterd: %s\n", error);
    }
    return good ? 0 : 1;
}
