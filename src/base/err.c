/* SPDX-License-Identifier: Apache-2.0 */
#include "otter/err.h"

/* No default: a value without its sentence is a compiler warning, and warnings are errors. */
const char *otter_err_text(otter_err err)
{
    switch (err) {
    case OTTER_OK:
        return "success";
    case OTTER_ERR_AGAIN:
        return "there is more to do: call again";
    case OTTER_ERR_ARG:
        return "an argument is not valid";
    case OTTER_ERR_STATE:
        return "that is not possible in this state";
    case OTTER_ERR_BUSY:
        return "another update is running";
    case OTTER_ERR_BOUNDS:
        return "the data ends too early";
    case OTTER_ERR_POLICY:
        return "the application refused the image";
    case OTTER_ERR_HASH:
        return "the hash could not be computed";
    case OTTER_ERR_NO_SLOT:
        return "there is no slot to update";
    case OTTER_ERR_NO_OTADATA:
        return "there is no valid otadata";
    case OTTER_ERR_PENDING:
        return "the running image is not confirmed yet";
    case OTTER_ERR_NOT_PENDING:
        return "there is nothing to confirm";
    case OTTER_ERR_RESTART:
        return "an update is selected: restart first";
    case OTTER_ERR_SEQ_EXHAUSTED:
        return "otadata has no sequence number left";
    case OTTER_ERR_NO_FALLBACK:
        return "there is no other image to go back to";
    case OTTER_ERR_FLASH_READ:
        return "the flash could not be read";
    case OTTER_ERR_FLASH_WRITE:
        return "the flash could not be written";
    case OTTER_ERR_FLASH_ERASE:
        return "the flash could not be erased";
    case OTTER_ERR_FLASH_DIFFERS:
        return "the flash does not hold what was written";
    case OTTER_ERR_EMPTY:
        return "the image is empty";
    case OTTER_ERR_TOO_LARGE:
        return "the image does not fit the slot";
    case OTTER_ERR_TRUNCATED:
        return "the image ends too early";
    case OTTER_ERR_TRAILING:
        return "too much data follows the image";
    case OTTER_ERR_IMAGE_MAGIC:
        return "this is not an ESP32 application image";
    case OTTER_ERR_IMAGE_HEADER:
        return "the image header is not valid";
    case OTTER_ERR_IMAGE_SEGMENT:
        return "a segment of the image is not valid";
    case OTTER_ERR_IMAGE_MAPPING:
        return "a segment is not aligned for mapping";
    case OTTER_ERR_IMAGE_CHECKSUM:
        return "the image checksum is wrong";
    case OTTER_ERR_IMAGE_DIGEST:
        return "the image SHA-256 is wrong";
    case OTTER_ERR_IMAGE_NO_DIGEST:
        return "the image carries no SHA-256";
    case OTTER_ERR_IMAGE_NO_DESC:
        return "the image has no app description";
    case OTTER_ERR_IMAGE_CHIP:
        return "the image is for another chip";
    case OTTER_ERR_IMAGE_REVISION:
        return "the image is for another chip revision";
    case OTTER_ERR_IMAGE_PROJECT:
        return "the image is of another project";
    case OTTER_ERR_IMAGE_OLDER:
        return "the image is older than policy allows";
    case OTTER_ERR_IMAGE_SECURE_VERSION:
        return "the image has a lower secure version";
    case OTTER_ERR_UNSIGNED:
        return "the image is not signed, and a signature is demanded";
    case OTTER_ERR_SIGNATURE:
        return "the signature does not fit the image";
    case OTTER_ERR_SIGNATURE_KEY:
        return "the image is signed with a key that is not trusted";
    case OTTER_ERR_SIGNATURE_FORMAT:
        return "the signature sector is damaged";
    case OTTER_ERR_UNENCRYPTED:
        return "the image is not encrypted, and encryption is demanded";
    case OTTER_ERR_ENCRYPTED_HEADER:
        return "the header of the encrypted image is not valid";
    case OTTER_ERR_ENCRYPTED_KEY:
        return "the image is encrypted for another key, or is damaged";
    case OTTER_ERR_ENCRYPTED_TAG:
        return "the encrypted image is damaged, or encrypted for another key";
    case OTTER_ERR_CRYPTO:
        return "a cryptographic operation failed";
    case OTTER_ERR_TABLE_EMPTY:
        return "the partition table is empty";
    case OTTER_ERR_TABLE_MAGIC:
        return "the partition table has a row that is not valid";
    case OTTER_ERR_TABLE_ALIGN:
        return "a partition is not aligned";
    case OTTER_ERR_TABLE_RANGE:
        return "a partition lies outside the flash";
    case OTTER_ERR_TABLE_OVERLAP:
        return "two partitions overlap";
    case OTTER_ERR_TABLE_MD5:
        return "the partition table MD5 is wrong";
    case OTTER_ERR_TABLE_FULL:
        return "the partition table has too many rows";
    case OTTER_ERR_TABLE_LABEL:
        return "two partitions have the same label";
    case OTTER_ERR_TABLE_SLOTS:
        return "the ota slots or otadata of the table are not valid";
    case OTTER_ERR_LINK:
        return "the link was lost";
    case OTTER_ERR_TIMEOUT:
        return "the other side did not answer in time";
    case OTTER_ERR_REFUSED:
        return "the device refused";
    case OTTER_ERR_PROTOCOL:
        return "the other side broke the protocol";
    case OTTER_ERR_CRC:
        return "the CRC is wrong";
    case OTTER_ERR_SEQUENCE:
        return "data came out of order";
    case OTTER_ERR_LENGTH:
        return "a length is wrong";
    case OTTER_ERR_UNSUPPORTED:
        return "the other side does not support this";
    case OTTER_ERR_RETRIES:
        return "it failed too many times";
    case OTTER_ERR_CANCELLED:
        return "it was cancelled";
    }
    return "an unknown error";
}
