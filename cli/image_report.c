/* SPDX-License-Identifier: Apache-2.0 */
#include "image_report.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "host/sha256.h"
#include "otter/partition.h"
#include "output.h"

#define SECTOR 4096u /* bytes */

struct scanner {
    struct image_scan *scan;
    struct otter_sha256 sha;
};

static bool scan_begin(struct scanner *s, struct image_scan *scan)
{
    *s = (struct scanner){.scan = scan};
    *scan = (struct image_scan){0};
    return otter_sha256_new(&s->sha) == OTTER_OK &&
           otter_image_begin(&scan->image, otter_sha256_hash(&s->sha), IMAGE_FILE_MAX) == OTTER_OK;
}

/* Copies the part of data that lies at [at, at + len) of the file. */
static void peek(uint8_t *out, uint64_t at, size_t len, const uint8_t *data, uint64_t data_at,
                 size_t data_len)
{
    for (size_t i = 0; i < len; i++) {
        if (at + i >= data_at && at + i < data_at + data_len) {
            out[i] = data[at + i - data_at];
        }
    }
}

static void scan_feed(struct scanner *s, const uint8_t *data, size_t len)
{
    struct image_scan *scan = s->scan;
    peek(scan->head, 0, sizeof scan->head, data, scan->file_size, len);
    peek(scan->at_table, OTTER_TABLE_OFFSET, sizeof scan->at_table, data, scan->file_size, len);
    scan->err = otter_image_feed(&scan->image, data, len);
    if (otter_image_done(&scan->image)) {
        uint64_t sector = (scan->image.facts.size + SECTOR - 1) / SECTOR * SECTOR;
        peek(scan->after, sector, sizeof scan->after, data, scan->file_size, len);
    }
    scan->file_size += len;
}

static void scan_end(struct scanner *s)
{
    s->scan->err = otter_image_end(&s->scan->image);
    if (s->scan->err == OTTER_OK && !s->scan->image.facts.has_digest) {
        s->scan->err = OTTER_ERR_IMAGE_NO_DIGEST;
    }
    otter_sha256_free(&s->sha);
}

int image_scan_file(struct call *call, const char *path, struct image_scan *scan)
{
    static uint8_t buf[1 << 16];
    struct scanner s;
    int code = EXIT_FAILED;
    int fd = input_open(call, path, IMAGE_FILE_MAX, "an ESP32 image", &code);
    if (fd < 0) {
        return code;
    }
    if (!scan_begin(&s, scan)) {
        close(fd);
        return fail(call, EXIT_FAILED, "%s", otter_err_text(OTTER_ERR_HASH));
    }
    ssize_t n;
    while ((n = read(fd, buf, sizeof buf)) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0) {
            scan_feed(&s, buf, (size_t)n);
        }
        if (scan->file_size > IMAGE_FILE_MAX) {
            break; /* standard input: only now known */
        }
    }
    code = EXIT_OK;
    if (n < 0) {
        code = fail(call, EXIT_FAILED, "cannot read %s: %s", file_name(path), strerror(errno));
    } else if (n > 0) {
        code = fail(call, EXIT_INVALID, "%s is too large for an ESP32 image (at most %s)",
                    file_name(path), size_text(IMAGE_FILE_MAX));
    }
    scan_end(&s);
    close(fd);
    return code;
}

int image_scan_bytes(struct call *call, const uint8_t *data, size_t len, struct image_scan *scan)
{
    struct scanner s;
    if (!scan_begin(&s, scan)) {
        return fail(call, EXIT_FAILED, "%s", otter_err_text(OTTER_ERR_HASH));
    }
    scan_feed(&s, data, len);
    scan_end(&s);
    return EXIT_OK;
}

/* What a file that is no image is instead, or NULL. */
static const char *file_kind(const struct image_scan *scan)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *kind;
    } kinds[] = {
        {"\xAA\x50", 2,
         "this is a partition table: \"otter flash create --partitions\" makes a flash with it"},
        {"\x7F"
         "ELF",
         4, "this is an ELF file: \"esptool elf2image\" makes an image of it"},
        {"PK\x03\x04", 4, "this is a ZIP archive: unpack it first"},
        {"\x1F\x8B", 2, "this is compressed by gzip: unpack it first"},
        {"\xFD"
         "7zXZ",
         5, "this is compressed by xz: unpack it first"},
        {"<", 1, "this is a web page or XML: the download may have failed"},
        {"{", 1, "this is JSON: the download may have failed"},
        {":0", 2, "this is an Intel HEX file: an image is needed as plain bytes (.bin)"},
    };
    if (memcmp(scan->at_table, "\xAA\x50", 2) == 0) {
        return "this is a whole flash: \"otter flash info\" shows it";
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (memcmp(scan->head, kinds[i].bytes, kinds[i].len) == 0) {
            return kinds[i].kind;
        }
    }
    if (memcmp(scan->head, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8) == 0) {
        return "this begins with erased flash";
    }
    return NULL;
}

/* How many bytes the image must have at least, by what was read of it. */
static uint64_t size_needed(const struct otter_image *im)
{
    if (!otter_image_header_known(im)) {
        return OTTER_IMAGE_HEADER_SIZE;
    }
    if (im->facts.size) {
        return im->facts.size;
    }
    uint64_t need = (uint64_t)im->pos + im->left;
    uint8_t after = (uint8_t)(im->facts.segment_count - im->segment - 1);
    need += after * OTTER_IMAGE_SEGMENT_HEADER_SIZE;
    return need + 1 + (im->facts.has_digest ? OTTER_SHA256_SIZE : 0);
}

const char *image_fault(const char *name, const struct image_scan *scan)
{
    static char text[1024];
    const char *kind = scan->err == OTTER_ERR_IMAGE_MAGIC ? file_kind(scan) : NULL;
    const char *shown = file_name(name);
    if (scan->file_size == 0) {
        snprintf(text, sizeof text, "%s is empty", shown);
    } else if (kind) {
        snprintf(text, sizeof text, "%s is not an ESP32 image; %s", shown, kind);
    } else if (scan->err == OTTER_ERR_TRUNCATED) {
        snprintf(
            text, sizeof text,
            "%s is cut short: it has %s bytes and the image needs %s%s; copy or build it again",
            shown, number_text(scan->file_size), scan->image.facts.size ? "" : "at least ",
            number_text(size_needed(&scan->image)));
    } else if (scan->err == OTTER_ERR_TOO_LARGE) {
        snprintf(text, sizeof text, "%s: a segment of the image is not valid: it is too large",
                 shown);
    } else if (scan->err == OTTER_ERR_IMAGE_CHECKSUM || scan->err == OTTER_ERR_IMAGE_DIGEST) {
        snprintf(text, sizeof text, "%s: %s: the file is damaged; copy or build it again", shown,
                 otter_err_text(scan->err));
    } else if (scan->err == OTTER_ERR_IMAGE_NO_DIGEST) {
        snprintf(text, sizeof text,
                 "%s: %s, so damage could pass unseen; build it with the SHA-256 appended", shown,
                 otter_err_text(scan->err));
    } else {
        snprintf(text, sizeof text, "%s: %s", shown, otter_err_text(scan->err));
    }
    return text;
}

const char *chip_text(uint16_t id)
{
    const struct otter_chip *chip = otter_chip_find(id);
    char unknown[24];
    snprintf(unknown, sizeof unknown, "unknown chip %u", id);
    return safe(chip ? chip->name : unknown);
}

/* Equal but for case and dashes. */
static bool same_name(const char *a, const char *b)
{
    for (;; a++, b++) {
        a += *a == '-';
        b += *b == '-';
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) {
            return false;
        }
        if (!*a) {
            return true;
        }
    }
}

bool chip_option(struct call *call, const char *name, uint16_t *id)
{
    char known[160] = "";
    const struct otter_chip *chip;
    for (size_t i = 0; name && (chip = otter_chip_at(i)); i++) {
        if (same_name(chip->name, name)) {
            *id = chip->id;
            return true;
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                 chip->name);
    }
    if (name) {
        fail(call, EXIT_USAGE, "there is no chip \"%s\": the chips are %s", safe(name), known);
    }
    return !name;
}

const char *version_text(const struct otter_image_facts *facts)
{
    return facts->has_desc && *facts->version ? safe(facts->version) : "(no version)";
}

static bool within(uint32_t address, uint32_t first, uint32_t last)
{
    return address >= first && address <= last;
}

/* Where a segment goes: "flash data", "flash code", "flash" where one window serves both, "RAM". */
static const char *segment_memory(const struct otter_image_facts *facts, uint32_t address)
{
    const struct otter_chip *chip = otter_chip_find(facts->chip_id);
    bool code = chip && within(address, chip->irom_first, chip->irom_last);
    bool data = chip && within(address, chip->drom_first, chip->drom_last);
    return code && data ? "flash" : code ? "flash code" : data ? "flash data" : "RAM";
}

static const char *revision_text(uint16_t full)
{
    char text[16];
    snprintf(text, sizeof text, "v%u.%u", full / 100, full % 100);
    return safe(text);
}

static bool has_limit(uint16_t max_rev_full)
{
    return max_rev_full != 0 && max_rev_full != UINT16_MAX;
}

static void segments_json(json_t *object, const struct otter_image_facts *facts)
{
    json_t *list = json_array();
    for (uint8_t i = 0; i < facts->segment_count; i++) {
        const struct otter_image_segment *s = &facts->segments[i];
        json_array_append_new(
            list, json_pack("{s:I,s:I,s:I,s:s}", "address", (json_int_t)s->address, "offset",
                            (json_int_t)s->offset, "length", (json_int_t)s->length, "memory",
                            segment_memory(facts, s->address)));
    }
    json_object_set_new(object, "segments", list);
}

static void description_json(json_t *object, const struct otter_image_facts *facts)
{
    json_object_set_new(object, "idf_version", json_text(facts->idf_version));
    json_object_set_new(object, "build_date", json_text(facts->date));
    json_object_set_new(object, "build_time", json_text(facts->time));
    json_object_set_new(object, "secure_version", json_integer(facts->secure_version));
    json_object_set_new(object, "elf_sha256", json_string(digest_text(facts->elf_sha256)));
}

void image_json(json_t *object, const struct otter_image_facts *facts, bool header_known,
                otter_err err)
{
    bool valid = err == OTTER_OK;
    const struct otter_chip *chip = header_known ? otter_chip_find(facts->chip_id) : NULL;
    json_object_set_new(object, "valid", json_boolean(valid));
    json_object_set_new(object, "chip", chip ? json_string(chip->name) : json_null());
    json_object_set_new(object, "project",
                        facts->has_desc ? json_text(facts->project) : json_null());
    json_object_set_new(object, "version",
                        facts->has_desc ? json_text(facts->version) : json_null());
    json_object_set_new(object, "sha256",
                        valid ? json_string(digest_text(facts->digest)) : json_null());
    json_object_set_new(object, "size", valid ? json_integer(facts->size) : json_null());
    if (valid) {
        segments_json(object, facts);
    } else {
        json_object_set_new(object, "segments", json_array());
    }
    if (header_known) {
        json_object_set_new(object, "chip_id", json_integer(facts->chip_id));
        json_object_set_new(object, "min_chip_rev", json_integer(facts->min_rev_full));
        json_object_set_new(object, "max_chip_rev",
                            has_limit(facts->max_rev_full) ? json_integer(facts->max_rev_full)
                                                           : json_null());
        json_object_set_new(object, "entry", json_integer(facts->entry));
    }
    if (facts->has_desc) {
        description_json(object, facts);
    }
}

static void print_segments(const struct otter_image_facts *facts)
{
    struct table t = {.columns = 4, .align = "lrrl"};
    table_cell(&t, STYLE_PLAIN, "Address");
    table_cell(&t, STYLE_PLAIN, "File offset");
    table_cell(&t, STYLE_PLAIN, "Bytes");
    table_cell(&t, STYLE_PLAIN, "Memory");
    for (uint8_t i = 0; i < facts->segment_count; i++) {
        const struct otter_image_segment *s = &facts->segments[i];
        table_cell(&t, STYLE_PLAIN, "0x%08x", s->address);
        table_cell(&t, STYLE_PLAIN, "0x%x", s->offset);
        table_cell(&t, STYLE_PLAIN, "%s", number_text(s->length));
        table_cell(&t, STYLE_PLAIN, "%s", segment_memory(facts, s->address));
    }
    print_heading("Segments");
    table_print(&t);
}

/* Secure Boot v2 puts a signature block into the sector after the image: E7, version 2 or 3. */
static bool is_signed(const struct image_scan *scan)
{
    return scan->after[0] == 0xE7 && (scan->after[1] == 2 || scan->after[1] == 3);
}

static void print_chip(const struct otter_image_facts *f)
{
    bool least = f->min_rev_full != 0, most = has_limit(f->max_rev_full);
    print_field("Chip", "%s%s%s%s%s%s", chip_text(f->chip_id), least || most ? ", revision " : "",
                least  ? revision_text(f->min_rev_full)
                : most ? "up"
                       : "",
                least && !most ? " and later" : "", most ? " to " : "",
                most ? revision_text(f->max_rev_full) : "");
}

void image_print(const struct image_scan *scan)
{
    const struct otter_image_facts *f = &scan->image.facts;
    print_chip(f);
    if (f->has_desc) {
        print_field("Project", "%s", *f->project ? safe(f->project) : "(none)");
        print_field("Version", "%s", version_text(f));
        print_field("Built", "%s %s, with ESP-IDF %s", safe(f->date), safe(f->time),
                    safe(f->idf_version));
        if (f->secure_version) {
            print_field("Secure version", "%u", f->secure_version);
        }
    } else {
        print_field("Description", "none: a second-stage bootloader, or not built by ESP-IDF");
    }
    print_field("Size", "%s", bytes_text(f->size));
    if (is_signed(scan)) {
        print_field("Signature", "Secure Boot v2, not checked");
    } else if (scan->file_size > f->size) {
        print_field("After it", "%s that are not part of the image",
                    bytes_text(scan->file_size - f->size));
    }
    print_field("Entry", "0x%08x", f->entry);
    print_field("SHA-256", "%s", digest_text(f->digest));
    print_segments(f);
}

int image_judge(struct call *call, const char *path, const struct image_scan *scan)
{
    if (call->json) {
        json_object_set_new(call->json, "file", json_text(path));
        image_json(call->json, &scan->image.facts, otter_image_header_known(&scan->image),
                   scan->err);
        json_object_set_new(call->json, "file_size", json_integer((json_int_t)scan->file_size));
        json_object_set_new(call->json, "signed", json_boolean(is_signed(scan)));
    }
    return scan->err ? fail(call, EXIT_INVALID, "%s", image_fault(path, scan)) : EXIT_OK;
}

int image_judge_file(struct call *call, const char *path, struct image_scan *scan)
{
    if (call->json) {
        json_object_set_new(call->json, "file", json_text(path));
        json_object_set_new(call->json, "valid", json_false());
    }
    int code = image_scan_file(call, path, scan);
    return code ? code : image_judge(call, path, scan);
}
