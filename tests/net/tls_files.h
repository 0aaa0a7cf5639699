// A self-signed certificate and its key, made for one test.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace hachi::net {

// For the host localhost and the address 127.0.0.1, good for an hour.
class TlsFiles {
 public:
  TlsFiles() {
    const std::string base = ::testing::TempDir() + "hachi-net-" + std::to_string(::getpid());
    certificate = base + ".crt";
    key = base + ".key";
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> made_key(EVP_EC_gen("P-256"),
                                                                       EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> made(X509_new(), X509_free);
    X509_set_version(made.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
    X509_set_pubkey(made.get(), made_key.get());
    X509_NAME* name = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(made.get(), name);
    X509_EXTENSION* hosts =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    X509_add_ext(made.get(), hosts, -1);
    X509_EXTENSION_free(hosts);
    X509_sign(made.get(), made_key.get(), EVP_sha256());
    write(certificate, [&](std::FILE* file) { return PEM_write_X509(file, made.get()); });
    write(key, [&](std::FILE* file) {
      return PEM_write_PrivateKey(file, made_key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  TlsFiles(const TlsFiles&) = delete;
  TlsFiles& operator=(const TlsFiles&) = delete;
  ~TlsFiles() {
    std::remove(certificate.c_str());
    std::remove(key.c_str());
  }

  std::string certificate;
  std::string key;

 private:
  template <class Writer>
  static void write(const std::string& path, const Writer& writer) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr) << path;
    EXPECT_EQ(writer(file), 1);
    std::fclose(file);
  }
};

}  // namespace hachi::net
