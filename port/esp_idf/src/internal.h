/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#ifndef OTTER_IDF_INTERNAL_H
#define OTTER_IDF_INTERNAL_H

#include <inttypes.h>

#include <esp_err.h>
#include <esp_ota_ops.h>
#include <esp_partition.h>
#include <psa/crypto.h>
#include <sdkconfig.h>

#include "otter/encrypted.h"
#include "otter/hash.h"
#include "otter/sink.h"
#include "otter/slots.h"
#include "otter/update.h"
#include "otter_idf.h"

/* Options of menuconfig as true and false; one that is not set has no macro there. */
#ifdef CONFIG_OTTER_CHECK_PROJECT
#define OTTER_CHECK_PROJECT true
#else
#define OTTER_CHECK_PROJECT false
#endif
#ifdef CONFIG_OTTER_REFUSE_ROLLED_BACK
#define OTTER_REFUSE_ROLLED_BACK true
#else
#define OTTER_REFUSE_ROLLED_BACK false
#endif
#ifdef CONFIG_OTTER_CONFIRM_CHECK
#define OTTER_CONFIRM_CHECK true
#else
#define OTTER_CONFIRM_CHECK false
#endif
#ifdef CONFIG_OTTER_CONFIRM_PATH
#define OTTER_CONFIRM_PATH true
#else
#define OTTER_CONFIRM_PATH false
#endif
#ifdef CONFIG_OTTER_SIGNATURES
#define OTTER_SIGNATURES true
#else
#define OTTER_SIGNATURES false
#endif
#ifdef CONFIG_OTTER_ENCRYPTION
#define OTTER_ENCRYPTION true
#else
#define OTTER_ENCRYPTION false
#endif
#ifdef CONFIG_OTTER_ENCRYPTED_ONLY
#define OTTER_ENCRYPTED_ONLY true
#else
#define OTTER_ENCRYPTED_ONLY false
#endif

#ifdef CONFIG_OTTER_OLDER_IF_ASKED
#define OTTER_OLDER OTTER_IDENTITY_OLDER_ASK
#elif defined(CONFIG_OTTER_VERSIONS_ANY)
#define OTTER_OLDER OTTER_IDENTITY_OLDER_YES
#else
#define OTTER_OLDER OTTER_IDENTITY_OLDER_REFUSED
#endif

/* Milliseconds since the start; wraps after 49 days, as the library expects. */
uint32_t otter_idf_now_ms(void);

/* FreeRTOS ticks for a wait of the library, rounded up. never: what stands for no limit. */
uint32_t otter_idf_ticks(uint32_t ms);

/* OTTER_ERR_FLASH_READ or whatever `other` is, by what ESP-IDF said. Logs what failed. */
otter_err otter_idf_err(esp_err_t err, otter_err other, const char *what);

/* ---- hash.c: SHA-256 by PSA, which uses the chip's engine ------------------------------------ */

struct otter_idf_hash {
    psa_hash_operation_t operation;
};
struct otter_hash otter_idf_hash_on(struct otter_idf_hash *hash);

/* ---- slots.c --------------------------------------------------------------------------------- */

struct otter_idf_slots {
    const esp_partition_t *target; /* being updated, or NULL */
    esp_ota_handle_t handle;
    bool begun; /* handle is open: the slot is being erased and written */
};
struct otter_slots otter_idf_slots_table(struct otter_idf_slots *slots);

/* ---- secure.c: what is demanded of images ---------------------------------------------------- */

/* slots in front of those given, with a hash and a buffer that may be the session's. */
esp_err_t otter_idf_demand_signature(const struct otter_idf_config *config, struct otter_hash hash,
                                     uint8_t *buf, size_t buf_size, struct otter_slots *slots);

/* Reads the private key and makes the one cipher of the device. */
esp_err_t otter_idf_open_cipher(const struct otter_idf_config *config,
                                struct otter_encrypted *encrypted);

/* ---- device.c: the one session --------------------------------------------------------------- */

/* A transport's way into the session, safe from any task. */
struct otter_idf_transport {
    struct otter_update_transport session;
    struct otter_encrypted_transport encrypted;
    struct otter_sink inner;
    bool running; /* an update of this transport; read by its own task */
    /* True: the host of its update asked for an older version. NULL: nobody can. */
    bool (*asked)(const struct otter_idf_transport *transport);
    bool automatic; /* nobody asked for this very image: one that was rolled back is refused */
};

/* ESP_ERR_INVALID_STATE before otter_idf_start(). */
esp_err_t otter_idf_transport_sink(struct otter_idf_transport *transport, struct otter_sink *sink);

/* Calls before_restart, then restarts. Does not return. */
void otter_idf_restart(void *unused);

/* For what restarts by itself. */
void otter_idf_before_restart(void);

/* Posts to the default event loop, if there is one. */
void otter_idf_post(enum otter_idf_event_id id, const void *data, size_t size);

#endif
