// SPDX-License-Identifier: MIT
#include "http_client.h"

#include <curl/curl.h>

#include <Poco/DeflatingStream.h>

#include <algorithm>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace lemonade::otlp {

namespace {

constexpr std::size_t kMostOfAnswer = 64 * 1024;

using Url = std::unique_ptr<CURLU, decltype(&::curl_url_cleanup)>;

/// A part of a URL; "" where it has none.
std::string part(const Url& url, CURLUPart which) {
  char* text = nullptr;
  if (::curl_url_get(url.get(), which, &text, 0) != CURLUE_OK || text == nullptr) return {};
  const std::unique_ptr<char, decltype(&::curl_free)> owner(text, &::curl_free);
  return text;
}

std::string compressed(const std::string& text) {
  std::ostringstream out;
  Poco::DeflatingOutputStream deflater(out, Poco::DeflatingStreamBuf::STREAM_GZIP);
  deflater.exceptions(std::ios::badbit);  // such as for want of memory
  deflater << text;
  deflater.close();
  return out.str();
}

/// Keeps the beginning of an answer, and takes the rest.
std::size_t keep(char* data, std::size_t, std::size_t size, void* body) noexcept {
  auto& kept = *static_cast<std::string*>(body);
  try {
    kept.append(data, std::min(size, kMostOfAnswer - kept.size()));
  } catch (const std::bad_alloc&) {
    return 0;  // ends the request
  }
  return size;
}

bool isToken(std::string_view name) {
  constexpr std::string_view kSigns = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::ranges::all_of(name, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kSigns.find(c) != std::string_view::npos;
  });
}

/// libcurl is made ready for the process once; it counts for itself.
void initialise() {
  if (::curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw std::runtime_error("libcurl is of no use here");
}

}  // namespace

struct HttpClient::Handles {
  std::unique_ptr<CURL, decltype(&::curl_easy_cleanup)> easy{nullptr, &::curl_easy_cleanup};
  std::unique_ptr<curl_slist, decltype(&::curl_slist_free_all)> headers{nullptr, &::curl_slist_free_all};

  void add(const std::string& line) {
    auto* const longer = ::curl_slist_append(headers.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    (void)headers.release();  // it is the beginning of the longer one
    headers.reset(longer);
  }
};

std::string checkedUrl(const std::string& text) {
  const Url url(::curl_url(), &::curl_url_cleanup);
  if (!url) throw std::bad_alloc();
  const bool parsed = ::curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) == CURLUE_OK;
  const auto scheme = part(url, CURLUPART_SCHEME);
  if (!parsed || (scheme != "http" && scheme != "https"))
    throw std::invalid_argument("give a URL such as \"http://127.0.0.1:4318/v1/metrics\", of http or https");
  if (!part(url, CURLUPART_USER).empty() || !part(url, CURLUPART_PASSWORD).empty())
    throw std::invalid_argument("leave the password out: it would be shown; give an Authorization in headers");
  if (part(url, CURLUPART_PATH) == "/" && ::curl_url_set(url.get(), CURLUPART_PATH, "/v1/metrics", 0) != CURLUE_OK)
    throw std::bad_alloc();
  return part(url, CURLUPART_URL);
}

HttpClient::HttpClient(Target target) : target_(std::move(target)), handles_(std::make_unique<Handles>()) {
  initialise();
  for (std::size_t i = 0; i < target_.headers.size(); ++i) {
    const auto& [name, value] = target_.headers[i];
    if (!isToken(name) || value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
      throw std::invalid_argument("pair " + std::to_string(i + 1) + " is no header of HTTP");
    // libcurl takes a header without a value in another form.
    handles_->add(value.empty() ? name + ";" : name + ": " + value);
  }
  handles_->add("Content-Type: application/json");
  if (target_.gzip) handles_->add("Content-Encoding: gzip");
  handles_->add("Expect:");  // no asking beforehand, which costs a second where nobody answers that
}

HttpClient::~HttpClient() = default;

Answer HttpClient::post(const std::string& json, std::chrono::nanoseconds wait) {
  if (!handles_->easy) handles_->easy.reset(::curl_easy_init());
  auto* const easy = handles_->easy.get();
  if (easy == nullptr) throw std::bad_alloc();
  const std::string packed = target_.gzip ? compressed(json) : std::string();
  const auto& body = target_.gzip ? packed : json;
  const auto millis = std::max<long long>(1, std::chrono::duration_cast<std::chrono::milliseconds>(wait).count());
  Answer answer;
  ::curl_easy_reset(easy);  // keeps the connection
  ::curl_easy_setopt(easy, CURLOPT_URL, target_.url.c_str());
  ::curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  ::curl_easy_setopt(easy, CURLOPT_PROXY, "");  // whatever the environment says
  ::curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // waits for no look-up that hangs
  ::curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(millis));
  ::curl_easy_setopt(easy, CURLOPT_USERAGENT, "lemonade-otlp/1.0.0");
  ::curl_easy_setopt(easy, CURLOPT_HTTPHEADER, handles_->headers.get());
  if (!target_.ca_file.empty()) ::curl_easy_setopt(easy, CURLOPT_CAINFO, target_.ca_file.c_str());
  ::curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data());
  ::curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  ::curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &keep);
  ::curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer.body);
  char detail[CURL_ERROR_SIZE] = "";
  ::curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail);
  const auto code = ::curl_easy_perform(easy);
  ::curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, nullptr);
  if (code != CURLE_OK) {
    answer.problem = detail[0] != '\0' ? detail : ::curl_easy_strerror(code);
    return answer;
  }
  ::curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.status);
  curl_off_t seconds = 0;
  if (::curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0)
    answer.retry_after = std::chrono::seconds(std::min<curl_off_t>(seconds, 86'400));
  return answer;
}

}  // namespace lemonade::otlp
