/* SPDX-License-Identifier: Apache-2.0 */
#include "otter/update.h"

#include <string.h>

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Where a character stands in the order: a pre-release mark before the end, the end before all
 * else. Build metadata ("+...") ends a version. */
static int rank(char c)
{
    return c == '-' ? -1 : c == '+' ? 0 : (unsigned char)c;
}

/* Moves past a run of digits; *start and the result delimit it without leading zeros. */
static size_t number(const char **text, const char **start)
{
    while (**text == '0') {
        (*text)++;
    }
    *start = *text;
    while (digit(**text)) {
        (*text)++;
    }
    return (size_t)(*text - *start);
}

static const char *skip_v(const char *text)
{
    return (text[0] == 'v' || text[0] == 'V') && digit(text[1]) ? text + 1 : text;
}

int otter_version_compare(const char *a, const char *b)
{
    a = skip_v(a);
    b = skip_v(b);
    for (;;) {
        int order;

        if (digit(*a) && digit(*b)) {
            const char *a_start;
            const char *b_start;
            size_t a_len = number(&a, &a_start);
            size_t b_len = number(&b, &b_start);

            order = a_len != b_len ? (a_len < b_len ? -1 : 1) : memcmp(a_start, b_start, a_len);
        } else {
            order = rank(*a) - rank(*b);
            if (order == 0 && rank(*a) == 0) {
                return 0;
            }
            a++;
            b++;
        }
        if (order != 0) {
            return order;
        }
    }
}
