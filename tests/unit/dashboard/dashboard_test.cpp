// SPDX-License-Identifier: MIT
#include "dashboard/dashboard.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>

using namespace lemonade;

namespace {

std::string headerOf(const admin::Response& response, const std::string& name) {
  const auto found = std::find_if(response.headers.begin(), response.headers.end(),
                                  [&](const auto& header) { return header.first == name; });
  return found == response.headers.end() ? "" : found->second;
}

/// The nonce that the policy of a page allows.
std::string nonceOf(const admin::Response& page) {
  const auto policy = headerOf(page, "Content-Security-Policy");
  const std::string before = "script-src 'nonce-";
  const auto at = policy.find(before);
  REQUIRE(at != std::string::npos);
  return policy.substr(at + before.size(), policy.find('\'', at + before.size()) - at - before.size());
}

}  // namespace

TEST_CASE("The page is one document of its own under 100 KB", "[dashboard]") {
  const auto page = dashboard::page();
  CHECK(page.status == 200);
  CHECK(page.content_type == "text/html; charset=utf-8");
  CHECK(page.body.size() < 100'000);
  for (const char* part : {"<!doctype html>", "--ground:", "class Past", "function showAttention", "</html>"})
    CHECK(page.body.find(part) != std::string::npos);
  for (const char* outside : {"src=", "@import", "https://", "url("})
    CHECK(page.body.find(outside) == std::string::npos);
}

TEST_CASE("The page lets its own style and script run and nothing else", "[dashboard]") {
  const auto page = dashboard::page();
  const auto nonce = nonceOf(page);
  CHECK(nonce.size() == 32);
  CHECK(page.body.find("<script nonce=\"" + nonce + "\">") != std::string::npos);
  CHECK(page.body.find("<style nonce=\"" + nonce + "\">") != std::string::npos);
  CHECK(page.body.find("{{") == std::string::npos);
  CHECK(page.body.find("@dashboard") == std::string::npos);
  CHECK(headerOf(page, "Content-Security-Policy").find("default-src 'none'") == 0);
  CHECK(nonceOf(dashboard::page()) != nonce);
}
