/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four lines: a word with the format's number, "DONE TOTAL" in decimal, the ETag, the file's name.
 * Neither of those can hold a line end: the machine refuses such answers.
 */
#include "device/download.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WORD "otter-download 1"
#define LINE_SIZE 300

/* A line without its end, which must be there, into out. */
static bool read_line(FILE *f, char *out, size_t size)
{
    char line[LINE_SIZE];

    if (fgets(line, sizeof(line), f) == NULL) {
        return false;
    }
    size_t len = strcspn(line, "\n");
    if (line[len] != '\n' || len == 0 || len >= size) {
        return false;
    }
    memcpy(out, line, len);
    out[len] = '\0';
    return true;
}

void device_download_load(const char *path, struct otter_fuota_kept *kept)
{
    char word[LINE_SIZE], numbers[LINE_SIZE], end;
    FILE *f = fopen(path, "re");

    memset(kept, 0, sizeof(*kept));
    if (f == NULL) {
        return;
    }
    if (!read_line(f, word, sizeof(word)) || strcmp(word, WORD) != 0 ||
        !read_line(f, numbers, sizeof(numbers)) ||
        sscanf(numbers, "%u %u%c", &kept->done, &kept->total, &end) != 2 ||
        !read_line(f, kept->etag, sizeof(kept->etag)) ||
        !read_line(f, kept->file, sizeof(kept->file))) {
        memset(kept, 0, sizeof(*kept));
    }
    fclose(f);
}

bool device_download_save(const char *path, const struct otter_fuota_kept *kept)
{
    char copy[4096];

    if (kept->done == 0) {
        return unlink(path) == 0 || errno == ENOENT;
    }
    if (snprintf(copy, sizeof(copy), "%s.new", path) >= (int)sizeof(copy)) {
        errno = ENAMETOOLONG;
        return false;
    }
    FILE *f = fopen(copy, "we");
    if (f == NULL) {
        return false;
    }
    bool good = fprintf(f, "%s\n%u %u\n%s\n%s\n", WORD, kept->done, kept->total, kept->etag,
                        kept->file) > 0;
    good = fclose(f) == 0 && good;
    return good && rename(copy, path) == 0;
}
