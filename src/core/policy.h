/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTTER_CORE_POLICY_H
#define OTTER_CORE_POLICY_H

#include "otter/update.h"

/* What can be said at the first 24 bytes: chip, revision, digest. */
OTTER_CHECKED otter_err otter_policy_header(const struct otter_policy *policy,
                                            const struct otter_image_facts *facts);

/* What can be said once the description is known: project, versions, the application's word. */
OTTER_CHECKED otter_err otter_policy_description(const struct otter_policy *policy,
                                                 const struct otter_image_facts *facts);

#endif
