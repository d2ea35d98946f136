// SPDX-License-Identifier: MIT
#include "dashboard/dashboard.h"

#include "dashboard/document.h"

#include <array>
#include <random>
#include <string>
#include <string_view>

namespace lemonade::dashboard {

namespace {

constexpr std::string_view kPlace = "{{nonce}}";  // where the document wants it

/// 128 bits that nobody can know before, as hexadecimal digits.
std::string makeNonce() {
  std::random_device random;
  std::string nonce;
  for (int i = 0; i < 32; ++i) nonce += "0123456789abcdef"[random() % 16];
  return nonce;
}

std::string withNonce(std::string_view document, std::string_view nonce) {
  std::string page;
  page.reserve(document.size() + 4 * nonce.size());
  for (std::size_t at; (at = document.find(kPlace)) != std::string_view::npos;
       document.remove_prefix(at + kPlace.size()))
    page.append(document.substr(0, at)).append(nonce);
  return page.append(document);
}

}  // namespace

admin::Response page() {
  const std::string nonce = makeNonce();
  const std::string own = "'nonce-" + nonce + "'";
  return {.content_type = "text/html; charset=utf-8",
          .body = withNonce(document(), nonce),
          .headers = {{"Content-Security-Policy", "default-src 'none'; script-src " + own + "; style-src " + own +
                                                      "; connect-src 'self'; img-src data:; form-action 'none'; "
                                                      "base-uri 'none'; frame-ancestors 'none'"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cache-Control", "no-store"},
                      {"Vary", "Accept"}}};
}

}  // namespace lemonade::dashboard
