/* SPDX-License-Identifier: Apache-2.0 */
#include "certs.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

EVP_PKEY *cert_new_key(void)
{
    return EVP_EC_gen("P-256");
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool good = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static bool fill(X509 *cert, EVP_PKEY *key, const char *common_name, int days)
{
    unsigned char serial[16];
    if (RAND_bytes(serial, sizeof serial) != 1) {
        return false;
    }
    serial[0] &= 0x7F;
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool good = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    /* From a day ago: clocks differ. */
    return good && X509_set_version(cert, X509_VERSION_3) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -86400) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL) != NULL &&
           X509_set_pubkey(cert, key) == 1 &&
           X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                      (const unsigned char *)common_name, -1, -1, 0) == 1;
}

static bool extend(X509 *cert, X509 *issuer, const char *alt)
{
    if (issuer == cert) {
        return add_extension(cert, issuer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
               add_extension(cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign") &&
               add_extension(cert, issuer, NID_subject_key_identifier, "hash");
    }
    return add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(cert, issuer, NID_ext_key_usage, "serverAuth") &&
           add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
           add_extension(cert, issuer, NID_authority_key_identifier, "keyid") &&
           add_extension(cert, issuer, NID_subject_alt_name, alt);
}

X509 *cert_new(EVP_PKEY *key, const char *common_name, const char *alt, int days, X509 *issuer,
               EVP_PKEY *issuer_key)
{
    X509 *cert = X509_new();
    X509 *signer = issuer != NULL ? issuer : cert;
    if (cert != NULL && fill(cert, key, common_name, days) &&
        X509_set_issuer_name(cert, X509_get_subject_name(signer)) == 1 &&
        extend(cert, signer, alt) &&
        X509_sign(cert, issuer_key != NULL ? issuer_key : key, EVP_sha256()) != 0) {
        return cert;
    }
    X509_free(cert);
    return NULL;
}

static FILE *create(const char *path, mode_t mode)
{
    unlink(path);
    FILE *file = fopen(path, "wxe");
    if (file != NULL && fchmod(fileno(file), mode) != 0) {
        fclose(file);
        return NULL;
    }
    return file;
}

bool cert_write(const char *path, X509 *cert, X509 *next)
{
    FILE *file = create(path, 0644);
    bool good = file != NULL && PEM_write_X509(file, cert) == 1 &&
                (next == NULL || PEM_write_X509(file, next) == 1);
    return file != NULL && fclose(file) == 0 && good;
}

bool cert_write_key(const char *path, EVP_PKEY *key)
{
    FILE *file = create(path, 0600);
    bool good = file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
    return file != NULL && fclose(file) == 0 && good;
}

X509 *cert_read(const char *path)
{
    FILE *file = fopen(path, "re");
    X509 *cert = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    if (file != NULL) {
        fclose(file);
    }
    return cert;
}

EVP_PKEY *cert_read_key(const char *path)
{
    FILE *file = fopen(path, "re");
    EVP_PKEY *key = file != NULL ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
    if (file != NULL) {
        fclose(file);
    }
    return key;
}

bool cert_alt_name(X509 *cert, int i, char *name, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool there = i < sk_GENERAL_NAME_num(names);
    if (there) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
        name[0] = 0;
        if (one->type == GEN_DNS) {
            snprintf(name, size, "%.*s", ASN1_STRING_length(one->d.dNSName),
                     (const char *)ASN1_STRING_get0_data(one->d.dNSName));
        } else if (one->type == GEN_IPADD) {
            bool four = ASN1_STRING_length(one->d.iPAddress) == 4;
            inet_ntop(four ? AF_INET : AF_INET6, ASN1_STRING_get0_data(one->d.iPAddress), name,
                      (socklen_t)size);
        }
    }
    GENERAL_NAMES_free(names);
    return there;
}
