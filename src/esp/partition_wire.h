/* SPDX-License-Identifier: Apache-2.0 */
/* What reader and builder of a partition table share. */
#ifndef OTTER_ESP_PARTITION_WIRE_H
#define OTTER_ESP_PARTITION_WIRE_H

#define OTTER_TABLE_MAGIC_ROW 0x50AAu
#define OTTER_TABLE_MAGIC_MD5 0xEBEBu
#define OTTER_TABLE_MAGIC_END 0xFFFFu
#define OTTER_TABLE_LABEL_SIZE 16u
#define OTTER_TABLE_MD5_FILL 14u /* bytes of 0xFF between magic and digest */

#endif
