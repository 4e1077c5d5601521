/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "flash_view.h"
#include "image_report.h"
#include "output.h"

enum { WHOLE, OUTPUT };

static const struct option_spec options[] = {
    [WHOLE] = {"whole", 0, NULL, "the whole partition, not only the image in it"},
    [OUTPUT] = {"output", 'o', "FILE", "where to write it, - for standard output"},
    {NULL, 0, NULL, NULL},
};

/* By slot name ("ota_1") or by the partition's label. */
static const struct otter_partition *find(const struct flash_view *view, const char *name)
{
    for (int i = OTTER_SLOT_TEST; i < view->layout.ota_slots; i++) {
        struct otter_region region = otter_layout_slot(&view->layout, i);
        for (uint16_t j = 0; j < view->table.count && region.size; j++) {
            if (view->rows[j].offset == region.offset && strcmp(otter_slot_name(i), name) == 0) {
                return &view->rows[j];
            }
        }
    }
    for (uint16_t i = 0; i < view->table.count; i++) {
        if (strcmp(view->rows[i].label, name) == 0) {
            return &view->rows[i];
        }
    }
    return NULL;
}

static int unknown(struct call *call, const struct flash_view *view)
{
    char names[512] = "";
    for (uint16_t i = 0; i < view->table.count && strlen(names) < 400; i++) {
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "",
                 view->rows[i].label);
    }
    return fail(call, EXIT_FAILED, "%s has no partition %s: there are %s", view->path,
                call->args[1], names);
}

static int extract(struct call *call, struct flash_view *view, const char *path)
{
    const struct otter_partition *p = find(view, call->args[1]);
    if (!p) {
        return unknown(call, view);
    }
    struct otter_region region = {p->offset, p->size};
    struct otter_image_facts facts = {0};
    uint32_t len = p->size;
    bool image = p->type == OTTER_PART_TYPE_APP && !call->option[WHOLE];
    if (image) {
        otter_err err = otter_flash_verify(&view->flash, region, otter_sha256_hash(&view->sha),
                                           view->buf, sizeof view->buf, &facts);
        if (err) {
            return fail(call, EXIT_INVALID,
                        "%s holds no valid image: %s; --whole takes the partition as it is",
                        p->label, otter_err_text(err));
        }
        len = facts.size;
    }
    uint8_t *data = malloc(len);
    if (!data) {
        return fail(call, EXIT_FAILED, "out of memory");
    }
    otter_err err = view->flash.ops->read(view->flash.ctx, p->offset, data, len);
    int code = err ? flash_view_failed(call, view, err) : output_write(call, path, data, len);
    free(data);
    if (code == EXIT_OK && call->json) {
        json_object_set_new(call->json, "partition", json_text(p->label));
        json_object_set_new(call->json, "output", json_text(path));
        json_object_set_new(call->json, "size", json_integer(len));
    } else if (code == EXIT_OK && strcmp(path, "-") != 0) {
        printf("%s: %s from %s%s%s\n", safe(path), bytes_text(len), safe(p->label),
               image ? ", version " : ", the whole partition", image ? version_text(&facts) : "");
    }
    return code;
}

static int run(struct call *call)
{
    static struct flash_view view;
    const char *path = call->option[OUTPUT];
    if (!path) {
        return fail(call, EXIT_USAGE, "name the file to write: -o FILE");
    }
    if (call->json && strcmp(path, "-") == 0) {
        return fail(call, EXIT_USAGE, "--json and -o - both need standard output");
    }
    int code = flash_view_open(call, &view, call->args[0], false);
    if (code == EXIT_OK) {
        code = extract(call, &view, path);
        flash_view_close(&view);
    }
    return code;
}

const struct command command_flash_extract = {
    .name = "flash extract",
    .args = "FILE SLOT -o OUT",
    .brief = "take an image or a partition out of a flash",
    .about =
        "Takes the image out of a slot (factory, ota_0 ...), verified and without what follows\n"
        "it, or any partition by its name as it is. OUT is replaced only when the new one is\n"
        "whole.\n",
    .schema = "otter.flash/1",
    .options = options,
    .args_min = 2,
    .args_max = 2,
    .run = run,
};
