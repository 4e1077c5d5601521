/* SPDX-License-Identifier: Apache-2.0 */
#include "core/policy.h"

#include <string.h>

otter_err otter_policy_header(const struct otter_policy *policy,
                              const struct otter_image_facts *facts)
{
    bool limited = facts->max_rev_full != 0 && facts->max_rev_full != UINT16_MAX;

    /* Without its digest only an 8-bit checksum would stand between a flipped bit and a boot. */
    if (!facts->has_digest) {
        return OTTER_ERR_IMAGE_NO_DIGEST;
    }
    if (policy == NULL || policy->chip_id == OTTER_CHIP_ANY) {
        return OTTER_OK;
    }
    if (facts->chip_id != policy->chip_id) {
        return OTTER_ERR_IMAGE_CHIP;
    }
    if (policy->chip_rev_full < facts->min_rev_full ||
        (limited && policy->chip_rev_full > facts->max_rev_full)) {
        return OTTER_ERR_IMAGE_REVISION;
    }
    return OTTER_OK;
}

static otter_err check_version(const struct otter_policy *policy, const char *version)
{
    if (policy->version_rule == OTTER_VERSION_ANY || policy->running_version == NULL) {
        return OTTER_OK;
    }
    int (*compare)(const char *a, const char *b) =
        policy->version_order != NULL ? policy->version_order : otter_version_compare;
    int order = compare(version, policy->running_version);
    bool older = order < 0 || (order == 0 && policy->version_rule == OTTER_VERSION_NEWER);
    bool taken = !older || (policy->take_older != NULL && policy->take_older(policy->check_ctx));
    return taken ? OTTER_OK : OTTER_ERR_IMAGE_OLDER;
}

otter_err otter_policy_description(const struct otter_policy *policy,
                                   const struct otter_image_facts *facts)
{
    if (policy == NULL) {
        return OTTER_OK;
    }
    bool asked = policy->project != NULL || policy->secure_version > 0 ||
                 policy->version_rule != OTTER_VERSION_ANY;
    if (asked && !facts->has_desc) {
        return OTTER_ERR_IMAGE_NO_DESC;
    }
    if (policy->project != NULL && strcmp(policy->project, facts->project) != 0) {
        return OTTER_ERR_IMAGE_PROJECT;
    }
    if (facts->secure_version < policy->secure_version) {
        return OTTER_ERR_IMAGE_SECURE_VERSION;
    }
    otter_err err = check_version(policy, facts->version);
    if (err == OTTER_OK && policy->check != NULL) {
        err = policy->check(policy->check_ctx, facts);
    }
    return err;
}
