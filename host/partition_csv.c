/* SPDX-License-Identifier: Apache-2.0 */
#include "host/partition_csv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FIELDS = 6, LINE_ROOM = 256, FIRST_OFFSET = OTTER_TABLE_OFFSET + OTTER_SECTOR_SIZE };

struct name {
    uint8_t type; /* of the partition, for subtypes */
    uint8_t value;
    const char *text;
};

static const struct name types[] = {{0, OTTER_PART_TYPE_APP, "app"},
                                    {0, OTTER_PART_TYPE_DATA, "data"}};

/* ota_0 .. ota_15 are made by rule. */
static const struct name subtypes[] = {
    {0, 0x00, "factory"},  {0, 0x20, "test"},   {0, 0x30, "tee_0"},     {0, 0x31, "tee_1"},
    {1, 0x00, "ota"},      {1, 0x01, "phy"},    {1, 0x02, "nvs"},       {1, 0x03, "coredump"},
    {1, 0x04, "nvs_keys"}, {1, 0x05, "efuse"},  {1, 0x06, "undefined"}, {1, 0x80, "esphttpd"},
    {1, 0x81, "fat"},      {1, 0x82, "spiffs"}, {1, 0x83, "littlefs"},  {1, 0x90, "tee_ota"},
};

static const struct {
    const char *name;
    const char *csv;
} layouts[] = {
    {"two-ota", "nvs,      data, nvs,     0x9000,   0x4000\n"
                "otadata,  data, ota,     0xd000,   0x2000\n"
                "phy_init, data, phy,     0xf000,   0x1000\n"
                "factory,  app,  factory, 0x10000,  1M\n"
                "ota_0,    app,  ota_0,   0x110000, 1M\n"
                "ota_1,    app,  ota_1,   0x210000, 1M\n"},
    {"no-factory", "nvs,     data, nvs,   0x9000,   0x4000\n"
                   "otadata, data, ota,   0xd000,   0x2000\n"
                   "ota_0,   app,  ota_0, 0x10000,  0x180000\n"
                   "ota_1,   app,  ota_1, 0x190000, 0x180000\n"},
};

const char *otter_partition_layout(const char *name)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        if (strcmp(layouts[i].name, name) == 0) {
            return layouts[i].csv;
        }
    }
    return NULL;
}

const char *otter_partition_type_text(uint8_t type, char out[16])
{
    snprintf(out, 16, "0x%02x", type);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].value == type) {
            snprintf(out, 16, "%s", types[i].text);
        }
    }
    return out;
}

const char *otter_partition_subtype_text(uint8_t type, uint8_t subtype, char out[16])
{
    snprintf(out, 16, "0x%02x", subtype);
    if (type == OTTER_PART_TYPE_APP && subtype >= OTTER_PART_APP_OTA_0 &&
        subtype < OTTER_PART_APP_OTA_0 + OTTER_OTA_SLOTS_MAX) {
        snprintf(out, 16, "ota_%d", subtype - (int)OTTER_PART_APP_OTA_0);
    }
    for (size_t i = 0; i < sizeof subtypes / sizeof *subtypes; i++) {
        if (subtypes[i].type == type && subtypes[i].value == subtype) {
            snprintf(out, 16, "%s", subtypes[i].text);
        }
    }
    return out;
}

struct csv {
    struct otter_csv_error *error;
    struct otter_partition_table *table;
    char *field[FIELDS];
};

__attribute__((format(printf, 3, 4))) static otter_err say(const struct csv *csv, otter_err err,
                                                           const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(csv->error->text, sizeof csv->error->text, format, ap);
    va_end(ap);
    return err;
}

/* A number with 0x and K or M, and a sign; false when it is none or does not fit 32 bits. */
static bool number(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 0);
    int64_t scale = *end == 'K' || *end == 'k' ? 1 << 10 : *end == 'M' || *end == 'm' ? 1 << 20 : 1;
    end += scale > 1;
    if (errno || end == text || *end || n > UINT32_MAX || n < -(long long)UINT32_MAX) {
        return false;
    }
    *value = n * scale;
    return *value <= UINT32_MAX && *value >= -(int64_t)UINT32_MAX;
}

/* A name of the list, or a number of one byte. */
static bool name_or_byte(const struct name *names, size_t count, uint8_t type, const char *text,
                         uint8_t *value)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i].type == type && strcasecmp(names[i].text, text) == 0) {
            *value = names[i].value;
            return true;
        }
    }
    int64_t n;
    if (!number(text, &n) || n < 0 || n > UINT8_MAX) {
        return false;
    }
    *value = (uint8_t)n;
    return true;
}

static bool ota_subtype(const char *text, uint8_t *value)
{
    char *end;
    if (strncasecmp(text, "ota_", 4) != 0 || text[4] < '0' || text[4] > '9') {
        return false;
    }
    unsigned long n = strtoul(text + 4, &end, 10);
    *value = (uint8_t)(OTTER_PART_APP_OTA_0 + n);
    return *end == '\0' && n < OTTER_OTA_SLOTS_MAX;
}

static otter_err read_kind(const struct csv *csv, struct otter_partition *row)
{
    const char *type = csv->field[1], *subtype = csv->field[2];
    if (strcasecmp(type, "bootloader") == 0 || strcasecmp(type, "partition_table") == 0) {
        return say(csv, OTTER_ERR_ARG, "rows of type %s are not supported: leave this row out",
                   type);
    }
    if (!*type || !name_or_byte(types, sizeof types / sizeof *types, 0, type, &row->type)) {
        return say(csv, OTTER_ERR_ARG, "the type is app, data or a number up to 0xff, not \"%s\"",
                   type);
    }
    if (!*subtype && row->type != OTTER_PART_TYPE_APP) {
        row->subtype = 0x06; /* undefined */
        return OTTER_OK;
    }
    if (row->type == OTTER_PART_TYPE_APP && ota_subtype(subtype, &row->subtype)) {
        return OTTER_OK;
    }
    if (!name_or_byte(subtypes, sizeof subtypes / sizeof *subtypes, row->type, subtype,
                      &row->subtype)) {
        return say(csv, OTTER_ERR_ARG, "there is no %s subtype \"%s\"", type, subtype);
    }
    return OTTER_OK;
}

static otter_err read_place(const struct csv *csv, struct otter_partition *row, uint32_t free_at)
{
    const char *label = csv->field[0];
    uint32_t align = row->type == OTTER_PART_TYPE_APP ? OTTER_APP_ALIGNMENT : OTTER_SECTOR_SIZE;
    int64_t offset = ((int64_t)free_at + align - 1) / align * align, size;
    if (*csv->field[3] && (!number(csv->field[3], &offset) || offset < 0)) {
        return say(csv, OTTER_ERR_ARG, "the offset \"%s\" is not a number such as 0x10000 or 64K",
                   csv->field[3]);
    }
    if (!number(csv->field[4], &size)) {
        return say(csv, OTTER_ERR_ARG, "the size \"%s\" is not a number such as 0x4000, 16K or 1M",
                   csv->field[4]);
    }
    size = size < 0 ? -size - offset : size;
    if (offset < free_at) {
        return say(csv, OTTER_ERR_TABLE_OVERLAP,
                   "%s begins at 0x%llx, but what is before it ends at 0x%x", label,
                   (long long)offset, free_at);
    }
    if (offset % align) {
        return say(csv, OTTER_ERR_TABLE_ALIGN, "%s begins at 0x%llx, which is no multiple of 0x%x",
                   label, (long long)offset, align);
    }
    if (size <= 0 || offset + size > UINT32_MAX) {
        return say(csv, OTTER_ERR_TABLE_RANGE, "the size of %s leaves no room in a flash", label);
    }
    row->offset = (uint32_t)offset;
    row->size = (uint32_t)size;
    return OTTER_OK;
}

static otter_err read_flags(const struct csv *csv, struct otter_partition *row)
{
    char *rest = csv->field[5];
    for (char *flag; (flag = strsep(&rest, ":"));) {
        if (strcmp(flag, "encrypted") == 0) {
            row->flags |= OTTER_PART_FLAG_ENCRYPTED;
        } else if (strcmp(flag, "readonly") == 0) {
            row->flags |= OTTER_PART_FLAG_READONLY;
        } else if (*flag) {
            return say(csv, OTTER_ERR_ARG, "the flags are encrypted and readonly, not \"%s\"",
                       flag);
        }
    }
    return OTTER_OK;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1])) {
        text[--len] = '\0';
    }
    return text;
}

static otter_err read_line(struct csv *csv, char *line, uint32_t *free_at)
{
    char none[] = ""; /* for fields that the line does not have */

    for (int i = 0; i < FIELDS; i++) {
        char *field = strsep(&line, ",");
        csv->field[i] = field ? trim(field) : none;
    }
    struct otter_partition row = {0};
    size_t len = strlen(csv->field[0]);
    if (len == 0 || len >= sizeof row.label) {
        return say(csv, OTTER_ERR_TABLE_LABEL, "the name \"%s\" is not 1 to 16 characters long",
                   csv->field[0]);
    }
    memcpy(row.label, csv->field[0], len);
    otter_err err = read_kind(csv, &row);
    err = err ? err : read_place(csv, &row, *free_at);
    err = err ? err : read_flags(csv, &row);
    if (err) {
        return err;
    }
    if (csv->table->count == csv->table->capacity) {
        return say(csv, OTTER_ERR_TABLE_FULL, "%s", otter_err_text(OTTER_ERR_TABLE_FULL));
    }
    csv->table->rows[csv->table->count++] = row;
    *free_at = row.offset + row.size;
    return OTTER_OK;
}

otter_err otter_partition_csv_read(const char *text, size_t len,
                                   struct otter_partition_table *table,
                                   struct otter_csv_error *error)
{
    struct csv csv = {.error = error, .table = table};
    const char *end = text + len;
    uint32_t free_at = FIRST_OFFSET;
    *error = (struct otter_csv_error){0};
    table->count = 0;
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3; /* a byte order mark, as some editors write */
    }
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t line_len = (size_t)((newline ? newline : end) - text);
        char line[LINE_ROOM];
        error->line++;
        if (line_len >= sizeof line || memchr(text, '\0', line_len)) {
            return say(&csv, OTTER_ERR_ARG, "this is not a line of a partition table");
        }
        memcpy(line, text, line_len);
        line[line_len] = '\0';
        text += line_len + 1;
        char *content = trim(line);
        if (*content && *content != '#') {
            otter_err err = read_line(&csv, content, &free_at);
            if (err) {
                return err;
            }
        }
    }
    error->line = 0;
    if (table->count == 0) {
        return say(&csv, OTTER_ERR_TABLE_EMPTY, "there is no partition in it");
    }
    return OTTER_OK;
}
