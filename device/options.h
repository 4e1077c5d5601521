/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of otter-device. */
#ifndef OTTER_DEVICE_OPTIONS_H
#define OTTER_DEVICE_OPTIONS_H

#include "device/device.h"

#define DEVICE_TRANSPORTS_MAX 8u

/* Fills options, and for each transport type, by its number, the argument of its option or NULL.
 * Ends the program where there is nothing to run: --help, --version, and what cannot be
 * understood. Everything points into argv. */
void device_options_read(struct device_options *options,
                         const char *arguments[DEVICE_TRANSPORTS_MAX], int argc, char **argv);

#endif
