/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, the configuration file and the environment of otterd. */
#ifndef OTTERD_OPTIONS_H
#define OTTERD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"

#define LISTEN_MAX 8
#define OPTION_PATH_MAX 1024
#define SETTINGS_MAX 65536u

struct options {
    const char *command; /* NULL: serve */
    char **arguments;    /* of the command, NULL at the end */

    const char *dir;    /* configuration: certificate, key, users, otterd.conf */
    const char *config; /* the file of settings; NULL: otterd.conf in dir, if there */
    char *settings;     /* its text, which other fields point into */
    const char *data;   /* database and files */
    const char *cert;
    const char *key;
    const char *users; /* file; NULL: none */
    const char *listen[LISTEN_MAX];
    int listen_count;
    const char *run_as; /* user to become when started as root; NULL: "otterd" */
    const char *cache_control;

    /* The first server's environment: one user for everything, unless a device user is given. */
    const char *env_user;
    const char *env_password;
    const char *env_device_user;
    const char *env_device_password;

    bool plain; /* HTTP without TLS, on loopback addresses only */
    bool open_metrics;
    bool any_file; /* files that are not images may be uploaded */
    bool json_log;
    enum log_level log_level;

    uint32_t threads;
    uint32_t max_connections;
    uint32_t max_per_address;
    uint32_t max_devices;   /* that are kept because they polled, without being assigned anything */
    uint64_t max_upload;    /* bytes */
    uint32_t max_uploads;   /* at once */
    uint32_t poll_seconds;  /* told to devices; 0: not told */
    uint32_t head_seconds;  /* for the handshake and the first head, and for each later head */
    uint32_t idle_seconds;  /* between requests */
    uint32_t rate_seconds;  /* window in which a body must make progress */
    uint32_t rate_bytes;    /* bytes a second it must make there */
    uint32_t grace_seconds; /* for downloads when the server stops */

    char paths[3][OPTION_PATH_MAX]; /* what DIR stands for */

    /* of init */
    const char *names[16];
    int name_count;
    bool force;
};

/* Returns -1 to go on, or the exit code: 0 after --help and the like, 2 after a usage error. */
int options_parse(struct options *options, int argc, char **argv);
#endif
