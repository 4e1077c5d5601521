/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "host/image_build.h"
#include "image_report.h"
#include "output.h"

enum { CHIP, PROJECT, VERSION, SIZE, SEED, SECURE_VERSION, MIN_REV, MAX_REV, NO_DIGEST, OUTPUT };

static const struct option_spec options[] = {
    [CHIP] = {"chip", 0, "CHIP", "the chip it is for (ESP32)"},
    [PROJECT] = {"project", 0, "NAME", "project name, at most 32 characters (demo)"},
    [VERSION] = {"version", 0, "TEXT", "version, at most 32 characters (1.0.0)"},
    [SIZE] = {"size", 0, "BYTES", "size, rounded up to a multiple of 16 (256K)"},
    [SEED] = {"seed", 0, "NUMBER", "of the random filling: same seed, same image (1)"},
    [SECURE_VERSION] = {"secure-version", 0, "NUMBER", "for anti-rollback (0)"},
    [MIN_REV] = {"min-rev", 0, "REV", "lowest chip revision, as 301 for v3.1 (0)"},
    [MAX_REV] = {"max-rev", 0, "REV", "highest chip revision (0: no limit)"},
    [NO_DIGEST] = {"no-digest", 0, NULL, "leave the SHA-256 out, for tests"},
    [OUTPUT] = {"output", 'o', "FILE", "where to write it, - for standard output"},
    {NULL, 0, NULL, NULL},
};

static bool read_numbers(struct call *call, struct otter_image_spec *spec)
{
    unsigned long size = 256u << 10, seed = 1, secure = 0, min_rev = 0, max_rev = 0;
    if (!option_number(call, SIZE, 16u << 20, &size) ||
        !option_number(call, SEED, UINT32_MAX, &seed) ||
        !option_number(call, SECURE_VERSION, UINT32_MAX, &secure) ||
        !option_number(call, MIN_REV, UINT16_MAX, &min_rev) ||
        !option_number(call, MAX_REV, UINT16_MAX, &max_rev)) {
        return false;
    }
    spec->size = (uint32_t)size;
    spec->seed = (uint32_t)seed;
    spec->secure_version = (uint32_t)secure;
    spec->min_rev_full = (uint16_t)min_rev;
    spec->max_rev_full = (uint16_t)max_rev;
    return true;
}

static int read_spec(struct call *call, struct otter_image_spec *spec)
{
    *spec = (struct otter_image_spec){
        .project = call->option[PROJECT] ? call->option[PROJECT] : "demo",
        .version = call->option[VERSION] ? call->option[VERSION] : "1.0.0",
        .no_digest = call->option[NO_DIGEST] != NULL,
    };
    if (strlen(spec->project) > 32 || strlen(spec->version) > 32) {
        return fail(call, EXIT_USAGE, "a project name or version has at most 32 characters");
    }
    return chip_option(call, call->option[CHIP], &spec->chip_id) && read_numbers(call, spec)
               ? EXIT_OK
               : EXIT_USAGE;
}

static void report(struct call *call, const char *path, const struct image_scan *scan)
{
    const struct otter_image_facts *f = &scan->image.facts;
    if (call->json) {
        json_object_set_new(call->json, "file", json_text(path));
        image_json(call->json, f, true, scan->err);
    } else if (strcmp(path, "-") != 0) {
        printf("%s: %s %s for %s, %s\n", safe(path), safe(f->project), version_text(f),
               chip_text(f->chip_id), bytes_text(scan->file_size));
    }
}

static int run(struct call *call)
{
    struct otter_image_spec spec;
    const char *path = call->option[OUTPUT] ? call->option[OUTPUT] : call->args[0];
    if (!path || (call->option[OUTPUT] && call->arg_count)) {
        return fail(call, EXIT_USAGE, "name one file to write: -o FILE");
    }
    if (call->json && strcmp(path, "-") == 0) {
        return fail(call, EXIT_USAGE, "--json and -o - both need standard output");
    }
    int code = read_spec(call, &spec);
    if (code) {
        return code;
    }
    uint8_t *image = NULL;
    size_t len;
    struct image_scan scan;
    otter_err err = otter_image_build(&spec, &image, &len);
    if (err) {
        return fail(call, EXIT_FAILED, "the image could not be built: %s", otter_err_text(err));
    }
    code = image_scan_bytes(call, image, len, &scan);
    code = code ? code : output_write(call, path, image, len);
    if (code == EXIT_OK) {
        report(call, path, &scan);
    }
    free(image);
    return code;
}

const struct command command_image_create = {
    .name = "image create",
    .args = "-o FILE",
    .brief = "build a valid image, for tests and demonstrations",
    .about = "Builds an image that every check of a device accepts: header, app description,\n"
             "segments, checksum and SHA-256 are right, the rest is random filling. It does\n"
             "not run on a chip. FILE is replaced only when the new one is whole.\n",
    .schema = "otter.image/1",
    .options = options,
    .args_min = 0,
    .args_max = 1,
    .run = run,
};
