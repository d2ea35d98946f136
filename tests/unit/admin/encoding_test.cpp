// SPDX-License-Identifier: MIT
#include "admin/encoding.h"

#include <Poco/InflatingStream.h>
#include <Poco/StreamCopier.h>

#include <catch2/catch.hpp>

#include <sstream>

using namespace lemonade::admin;

namespace {

std::string inflated(const std::string& text) {
  std::istringstream in(text);
  Poco::InflatingInputStream inflater(in, Poco::InflatingStreamBuf::STREAM_GZIP);
  std::string out;
  Poco::StreamCopier::copyToString(inflater, out);
  return out;
}

std::string codingOf(const Response& response) {
  for (const auto& [name, value] : response.headers)
    if (name == "Content-Encoding") return value;
  return "";
}

}  // namespace

TEST_CASE("The coding is the one that the client prefers", "[admin]") {
  CHECK(chooseCoding(std::nullopt) == Coding::kIdentity);
  for (const char* accept : {"gzip", "GZIP", "x-gzip", "deflate, gzip, br, zstd", "gzip;q=0.5", "gzip; q=0.001", "*",
                             "br;q=1, *;q=0.1", "gzip;q=1.000, identity;q=0.5", "identity;q=0.5, gzip"}) {
    CAPTURE(accept);
    CHECK(chooseCoding(accept) == Coding::kGzip);
  }
  for (const char* accept : {"", "identity", "deflate", "gzip;q=0", "gzip;q=0.000, *", "*;q=0.5, gzip;q=0",
                             "identity, gzip;q=0.5", "gzip;q=x", "gzip;q=2", "gzipped"}) {
    CAPTURE(accept);
    CHECK(chooseCoding(accept) == Coding::kIdentity);
  }
  for (const char* accept : {"gzip, identity;q=0", "gzip;q=0.1, *;q=0"}) {
    CAPTURE(accept);
    CHECK(chooseCoding(accept) == Coding::kGzipAlways);
  }
  for (const char* accept : {"identity;q=0", "*;q=0", "br, identity;q=0, gzip;q=0"}) {
    CAPTURE(accept);
    CHECK(chooseCoding(accept) == Coding::kNone);
  }
}

TEST_CASE("An answer in gzip reads as what it was", "[admin]") {
  const Response plain{.body = std::string(100'000, 'x') + "end"};
  const auto coded = encoded(plain, Coding::kGzip);
  CHECK(codingOf(coded) == "gzip");
  CHECK(coded.body.size() < 2'000);
  CHECK(inflated(coded.body) == plain.body);
  CHECK(encoded(plain, Coding::kIdentity).body == plain.body);
}

TEST_CASE("A short answer is coded only where the client takes nothing else", "[admin]") {
  CHECK(codingOf(encoded({.body = "ok"}, Coding::kGzip)).empty());
  const auto coded = encoded({.body = "ok"}, Coding::kGzipAlways);
  CHECK(codingOf(coded) == "gzip");
  CHECK(inflated(coded.body) == "ok");
  CHECK(encoded({.body = "ok"}, Coding::kNone).status == 406);
}
