// SPDX-License-Identifier: MIT
#include "admin/encoding.h"

#include <Poco/DeflatingStream.h>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include <charconv>
#include <sstream>

namespace lemonade::admin {

namespace {

namespace http = boost::beast::http;
using BeastText = boost::beast::string_view;

constexpr std::size_t kShort = 1'024;
constexpr int kLevel = 1;  // a scrape shrinks to a twelfth; more takes thrice the time for a fourteenth

/// Between 0 and 1; 0 where it cannot be read.
double weightOf(const http::param_list& parameters) {
  for (const auto& [name, value] : parameters) {
    if (!boost::beast::iequals(name, "q")) continue;
    double weight = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), weight);
    return error == std::errc() && end == value.data() + value.size() && weight >= 0 && weight <= 1 ? weight : 0;
  }
  return 1;
}

std::string gzip(const std::string& text) {
  std::ostringstream out;
  Poco::DeflatingOutputStream deflater(out, Poco::DeflatingStreamBuf::STREAM_GZIP, kLevel);
  deflater.write(text.data(), static_cast<std::streamsize>(text.size()));
  deflater.close();
  return std::move(out).str();
}

}  // namespace

Coding chooseCoding(const std::optional<std::string>& accept) {
  if (!accept) return Coding::kIdentity;
  std::optional<double> gzip, identity, others;
  const std::string list = *accept + ",";  // Beast (1.74) gives a last one without parameters those of the one before
  for (const auto& [name, parameters] : http::ext_list{list}) {
    const double weight = weightOf(parameters);
    if (boost::beast::iequals(name, "gzip") || boost::beast::iequals(name, "x-gzip"))
      gzip = weight;
    else if (boost::beast::iequals(name, "identity"))
      identity = weight;
    else if (name == "*")
      others = weight;
  }
  if (!gzip) gzip = others.value_or(0);
  if (!identity && others && *others == 0) identity = 0;
  if (identity && *identity == 0) return *gzip > 0 ? Coding::kGzipAlways : Coding::kNone;
  return *gzip > 0 && *gzip >= identity.value_or(0) ? Coding::kGzip : Coding::kIdentity;
}

Response encoded(Response response, Coding coding) {
  if (coding == Coding::kNone) return errorResponse(406, "answers come as they are or in gzip");
  if (response.stream != nullptr) return response;
  response.headers.emplace_back("Vary", "Accept-Encoding");
  const bool pays = coding == Coding::kGzip && response.body.size() >= kShort;
  if (!pays && coding != Coding::kGzipAlways) return response;
  response.body = gzip(response.body);
  response.headers.emplace_back("Content-Encoding", "gzip");
  return response;
}

}  // namespace lemonade::admin
