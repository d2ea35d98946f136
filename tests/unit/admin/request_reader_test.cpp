// SPDX-License-Identifier: MIT
//
// What is a request and what is not, whole and byte by byte.
#include "admin/request_reader.h"

#include <catch2/catch.hpp>

#include <vector>

using namespace lemonade::admin;
using Progress = RequestReader::Progress;

namespace {

/// What came of the bytes: "refused 400", "incomplete", or "METHOD path?query [body]" for each request.
std::string read(std::string_view bytes, std::size_t piece) {
  RequestReader reader(1'024, 64);
  std::string requests;
  const auto note = [&] {
    const auto& request = reader.request();
    requests += (requests.empty() ? "" : ", ") + request.method + " " + request.path +
                (request.query.empty() ? "" : "?" + request.query) +
                (request.body.empty() ? "" : " [" + request.body + "]");
  };
  auto state = Progress::kHead;
  do {
    state = reader.take(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (; state == Progress::kComplete; state = reader.take({})) {
      note();
      reader.next();
    }
  } while (state != Progress::kRefused && !bytes.empty());
  if (state == Progress::kRefused)
    return requests + (requests.empty() ? "" : ", ") + "refused " + std::to_string(reader.refusal().status);
  return reader.begun() ? requests + (requests.empty() ? "" : ", ") + "incomplete" : requests;
}

void check(const std::string& bytes, const std::string& expected) {
  CAPTURE(bytes);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}, bytes.size()}) {
    CAPTURE(piece);
    CHECK(read(bytes, piece) == expected);
  }
}

const std::string kGet = "GET /a?b=c HTTP/1.1\r\nHost: x\r\n";
const std::string kPost = "POST /a HTTP/1.1\r\nHost: x\r\n";
const std::string kChunked = kPost + "Transfer-Encoding: chunked\r\n\r\n";

}  // namespace

TEST_CASE("RequestReader reads requests one after another", "[admin]") {
  check(kGet + "\r\n", "GET /a?b=c");
  check(kGet + "\r\n" + kPost + "Content-Length: 2\r\n\r\nhi" + kGet + "\r\n", "GET /a?b=c, POST /a [hi], GET /a?b=c");
  check("\r\n\r\n" + kGet + "\r\n", "GET /a?b=c");
  check("GET / HTTP/1.0\r\n\r\n", "GET /");
  check("BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", "BREW /pot");
  check("GET /%41%20b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /A b");
  check("GET //x/y HTTP/1.1\r\nHost: x\r\n\r\n", "GET //x/y");
  check(kGet + "X: y", "incomplete");
  check(kGet + "Content-Length: 3\r\n\r\nab", "incomplete");
}

TEST_CASE("RequestReader reads chunked bodies", "[admin]") {
  check(kChunked + "2\r\nhi\r\n0\r\n\r\n", "POST /a [hi]");
  check(kChunked + "2;x=y\r\nhi\r\n1\r\n!\r\n0\r\nTrailer: t\r\n\r\n" + kGet + "\r\n", "POST /a [hi!], GET /a?b=c");
  check(kChunked + "0\r\n\r\n", "POST /a");
  check(kChunked + "00\r\n\r\n", "POST /a");
  check(kChunked + "0\r\n", "incomplete");
}

TEST_CASE("RequestReader refuses what two readers may understand differently", "[admin]") {
  const auto with = [](const std::string& fields) { return kPost + fields + "\r\nhi"; };
  check(with("Content-Length: 2\r\nContent-Length: 2\r\n"), "refused 400");
  check(with("Content-Length: 2\r\nContent-Length: 1\r\n"), "refused 400");
  for (const char* length : {"2, 2", "2,3", "+2", "-2", "0x2", "2 2", "", "2.0", "99999999999999999999"})
    check(with("Content-Length: " + std::string(length) + "\r\n"), "refused 400");
  check(with("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"), "refused 400");
  check(with("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n"), "refused 400");
  for (const char* coding : {"gzip", "gzip, chunked", "chunked, chunked", "xchunked", "identity", "chunked;q=1", ""})
    check(with("Transfer-Encoding: " + std::string(coding) + "\r\n"), "refused 400");
  check(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "refused 400");
  check("POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "refused 400");
}

TEST_CASE("RequestReader refuses broken lines", "[admin]") {
  check("GET / HTTP/1.1\nHost: x\n\n", "refused 400");
  check("GET / HTTP/1.1\r\nHost: x\n\r\n", "refused 400");
  check("GET / HTTP/1.1\r\nHost: x\r\rX: y\r\n\r\n", "refused 400");
  check("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", "refused 400");
  check("GET / HTTP/1.1\r\n Host: x\r\n\r\n", "refused 400");
  check("GET / HTTP/1.1\r\nHost : x\r\n\r\n", "refused 400");
  check("GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", "refused 400");
  check("GET / HTTP/1.1\r\nHost: x\r\nnocolon\r\n\r\n", "refused 400");
  check("GET / HTTP/1.1\r\nHost: x\r\nX: a\x01z\r\n\r\n", "refused 400");
  check(std::string("GET / HTTP/1.1\r\nHost: x\r\nX: a\0z\r\n\r\n", 35), "refused 400");
  check("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "refused 400");
  check("GET /\r\n\r\n", "refused 400");
  check(" GET / HTTP/1.1\r\n\r\n", "refused 400");
  check("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "refused 400");
}

TEST_CASE("RequestReader refuses broken chunks", "[admin]") {
  for (const char* body :
       {"x\r\n", "-1\r\nh\r\n", "0x2\r\nhi\r\n\r\n", "2\r\nhi!\r\n0\r\n", "2\nhi\n0\n\n", "2\r\nhi0\r\n\r\n",
        "ffffffffffffffffff\r\n", "2 x\r\nhi\r\n", "0\r\nbroken\r\n\r\n", "2;x=\"\n\"\r\nhi\r\n0\r\n\r\n", "\r\n"})
    check(kChunked + body, "refused 400");
}

TEST_CASE("RequestReader refuses other protocols", "[admin]") {
  check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "refused 400");
  check(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), "refused 400");
  check("GET / HTTP/2.0\r\nHost: x\r\n\r\n", "refused 400");
  check("GET / HTTP/0.9\r\n\r\n", "refused 400");
  check("GET / HTTQ/1.1\r\nHost: x\r\n\r\n", "refused 400");
  check("SSH-2.0-OpenSSH_9.2\r\n\r\n", "refused 400");
  check("\xff\xfe\r\n\r\n", "refused 400");
}

TEST_CASE("RequestReader refuses targets that are no path", "[admin]") {
  for (const char* target : {"*", "x", "example.com:443", "ftp://x/", "https://x/", "/a#b", "/%zz", "/%2", "?a"})
    check("GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n\r\n", "refused 400");
}

TEST_CASE("RequestReader takes the host of an absolute target for that of the request", "[admin]") {
  check("GET http://y:1/a?b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a?b");
  check("GET HTTP://y HTTP/1.1\r\nHost: x\r\n\r\n", "GET /");
  RequestReader reader(1'024, 64);
  REQUIRE(reader.take("GET http://evil.example:1/a HTTP/1.1\r\nHost: localhost\r\n\r\n") == Progress::kComplete);
  CHECK(reader.head().host == "evil.example:1");
}

TEST_CASE("RequestReader wants one Host in HTTP/1.1", "[admin]") {
  check("GET / HTTP/1.1\r\n\r\n", "refused 400");
  check("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "refused 400");
  check("GET http://x/ HTTP/1.1\r\n\r\n", "refused 400");
  check("POST / HTTP/1.1\r\nHost: x\r\nOrigin: a\r\nOrigin: b\r\n\r\n", "refused 400");
}

TEST_CASE("RequestReader bounds heads and bodies and lines of bodies", "[admin]") {
  check(kGet + "X: " + std::string(1'100, 'x') + "\r\n\r\n", "refused 431");
  check("GET /" + std::string(1'100, 'x'), "refused 431");
  check(std::string(1'100, 'A'), "refused 431");
  check(kPost + "Content-Length: 65\r\n\r\n", "refused 413");
  check(kPost + "Content-Length: 64\r\n\r\n" + std::string(64, 'x'), "POST /a [" + std::string(64, 'x') + "]");
  check(kChunked + "41\r\n", "refused 413");
  check(kChunked + "40\r\n" + std::string(64, 'x') + "\r\n1\r\n", "refused 413");
  check(kChunked + "1;" + std::string(1'100, 'x'), "refused 400");
  check(kChunked + "0\r\n" + std::string(1'100, 'x'), "refused 400");
}

TEST_CASE("RequestReader says once that a client waits to be asked for the body", "[admin]") {
  const std::string head = kPost + "Content-Length: 2\r\nExpect: 100-Continue\r\n\r\n";
  RequestReader reader(1'024, 64);
  CHECK(reader.take(head) == Progress::kBody);
  CHECK(reader.asksToContinue());
  CHECK_FALSE(reader.asksToContinue());
  CHECK(reader.take("hi") == Progress::kComplete);
  RequestReader whole(1'024, 64);
  CHECK(whole.take(head + "hi") == Progress::kComplete);
  CHECK_FALSE(whole.asksToContinue());
  check(kPost + "Expect: a miracle\r\n\r\n", "refused 417");
}

TEST_CASE("RequestReader says whether another request may follow", "[admin]") {
  const auto kept = [](const std::string& head) {
    RequestReader reader(1'024, 64);
    REQUIRE(reader.take(head) == Progress::kComplete);
    return reader.head().keep_alive;
  };
  CHECK(kept(kGet + "\r\n"));
  CHECK_FALSE(kept(kGet + "Connection: close\r\n\r\n"));
  CHECK_FALSE(kept("GET / HTTP/1.0\r\n\r\n"));
  CHECK(kept("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}
