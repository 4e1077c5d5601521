/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <err.h>
#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SAFE_MAX 4096 /* bytes of one shown text */

static bool colour[3]; /* by file descriptor */

void output_init(void)
{
    setlocale(LC_CTYPE, "");
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool wanted = !(no && *no) && term && strcmp(term, "dumb") != 0;
    colour[STDOUT_FILENO] = wanted && isatty(STDOUT_FILENO);
    colour[STDERR_FILENO] = wanted && isatty(STDERR_FILENO);
}

static const char *style_code(FILE *f, enum style style)
{
    static const char *const codes[] = {"",         "\033[1m",  "\033[2m",
                                        "\033[32m", "\033[33m", "\033[31m"};
    return colour[f == stderr ? STDERR_FILENO : STDOUT_FILENO] ? codes[style] : "";
}

static const char *style_end(FILE *f, enum style style)
{
    return *style_code(f, style) ? "\033[0m" : "";
}

void print_styled(FILE *f, enum style style, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs(style_code(f, style), f);
    vfprintf(f, format, ap);
    fputs(style_end(f, style), f);
    va_end(ap);
}

void print_field(const char *name, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    printf("  %s%-14s%s ", style_code(stdout, STYLE_FAINT), name, style_end(stdout, STYLE_FAINT));
    vprintf(format, ap);
    putchar('\n');
    va_end(ap);
}

void print_heading(const char *text)
{
    putchar('\n');
    print_styled(stdout, STYLE_STRONG, "%s\n", text);
}

/* One of eight buffers in turn, so that several texts can stand in one printf. */
static char *text_buffer(void)
{
    static char buffers[8][SAFE_MAX];
    static unsigned next;
    return buffers[next++ % 8];
}

/* The length of the UTF-8 character at s that may be shown, or 0. */
static size_t shown_char(const unsigned char *s)
{
    if (*s < 0x80) {
        return *s >= 0x20 && *s != 0x7F;
    }
    size_t len = *s >= 0xF0 ? 4 : *s >= 0xE0 ? 3 : 2;
    uint32_t c = *s & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80) { /* also the end of the text */
            return 0;
        }
        c = c << 6 | (s[i] & 0x3Fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool valid = *s >= 0xC2 && *s <= 0xF4 && c >= least[len] && c <= 0x10FFFF &&
                 !(c >= 0xD800 && c <= 0xDFFF);
    bool control = c < 0xA0 || c == 0xAD || (c >= 0x200B && c <= 0x200F) ||
                   (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
                   (c >= 0xFFF0 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE0FFF);
    return valid && !control ? len : 0;
}

const char *safe(const char *text)
{
    char *out = text_buffer();
    size_t n = 0;
    for (const unsigned char *s = (const unsigned char *)text; *s && n < SAFE_MAX - 8;) {
        size_t len = shown_char(s);
        if (len) {
            memcpy(out + n, s, len);
            n += len;
            s += len;
        } else {
            n += (size_t)sprintf(out + n, "\\x%02x", *s++);
        }
    }
    out[n] = '\0';
    return out;
}

const char *number_text(uint64_t number)
{
    char *out = text_buffer();
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    int n = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            out[n++] = ',';
        }
        out[n++] = digits[i];
    }
    out[n] = '\0';
    return out;
}

const char *size_text(uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB"};
    char *out = text_buffer();
    if (bytes < 1024) {
        snprintf(out, SAFE_MAX, "%d B", (int)bytes);
        return out;
    }
    int unit = bytes < 1u << 20 ? 0 : bytes < 1u << 30 ? 1 : 2;
    uint64_t scale = 1ull << (10 * (unit + 1));
    if (bytes % scale == 0) {
        snprintf(out, SAFE_MAX, "%llu %s", (unsigned long long)(bytes / scale), units[unit]);
    } else {
        snprintf(out, SAFE_MAX, "%.*f %s", bytes / scale >= 100 ? 0 : 2,
                 (double)bytes / (double)scale, units[unit]);
    }
    return out;
}

const char *bytes_text(uint64_t bytes)
{
    char *out = text_buffer();
    if (bytes < 1024) {
        snprintf(out, SAFE_MAX, "%d bytes", (int)bytes);
    } else {
        snprintf(out, SAFE_MAX, "%s bytes (%s)", number_text(bytes), size_text(bytes));
    }
    return out;
}

const char *digest_text(const uint8_t digest[32])
{
    char *out = text_buffer();
    for (int i = 0; i < 32; i++) {
        sprintf(out + 2 * i, "%02x", digest[i]);
    }
    return out;
}

int terminal_columns(FILE *f)
{
    struct winsize size;
    if (!isatty(fileno(f))) {
        return 0;
    }
    return ioctl(fileno(f), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* Columns a text takes: characters, not bytes. */
static int text_width(const char *text)
{
    int width = 0;
    for (; *text; text++) {
        width += (*text & 0xC0) != 0x80;
    }
    return width;
}

void table_cell(struct table *t, enum style style, const char *format, ...)
{
    if ((t->count & (t->count - 1)) == 0) { /* room doubles at each power of two */
        size_t room = t->count ? t->count * 2 : 1;
        t->cells = realloc(t->cells, room * sizeof *t->cells);
        t->styles = realloc(t->styles, room * sizeof *t->styles);
    }
    va_list ap;
    va_start(ap, format);
    if (!t->cells || !t->styles || vasprintf(&t->cells[t->count], format, ap) < 0) {
        err(1, "out of memory");
    }
    va_end(ap);
    t->styles[t->count++] = style;
}

/* Nothing but empty cells follow in this row. */
static bool row_ends(const struct table *t, size_t i)
{
    for (i++; i % (size_t)t->columns != 0; i++) {
        if (*t->cells[i]) {
            return false;
        }
    }
    return true;
}

static void empty_column(struct table *t, int column)
{
    for (size_t i = (size_t)column; i < t->count; i += (size_t)t->columns) {
        *t->cells[i] = '\0';
    }
}

/* The width of each column; 0: nothing is in it, or it is left out. */
static void table_widths(struct table *t, int width[16])
{
    int room = terminal_columns(stdout);
    int all = 0;
    for (size_t i = 0; i < t->count; i++) {
        int w = text_width(t->cells[i]);
        int *column = &width[i % (size_t)t->columns];
        *column = w > *column ? w : *column;
    }
    for (int i = 0; i < t->columns; i++) {
        all += 2 + width[i];
    }
    for (int i = t->columns - 1; room > 0 && all > room && i > 0; i--) {
        if (t->align[i] == 'L') {
            all -= 2 + width[i];
            width[i] = 0;
            empty_column(t, i);
        }
    }
}

void table_print(struct table *t)
{
    int width[16] = {0};
    table_widths(t, width);
    for (size_t i = 0; i < t->count; i++) {
        int column = (int)(i % (size_t)t->columns);
        int pad = width[column] - text_width(t->cells[i]);
        bool right = t->align[column] == 'r';
        bool end = row_ends(t, i);
        if (width[column] > 0 && (!end || *t->cells[i])) {
            printf("%*s", 2 + (right ? pad : 0), "");
            print_styled(stdout, i < (size_t)t->columns ? STYLE_FAINT : t->styles[i], "%s",
                         t->cells[i]);
            printf("%*s", !right && !end ? pad : 0, "");
        }
        if (column == t->columns - 1) {
            putchar('\n');
        }
    }
    for (size_t i = 0; i < t->count; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
    free(t->styles);
    *t = (struct table){0};
}

json_t *json_text(const char *text)
{
    json_t *json = json_string(text);
    return json ? json : json_string(safe(text));
}
