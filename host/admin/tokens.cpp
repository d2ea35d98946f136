// SPDX-License-Identifier: MIT
#include "admin/tokens.h"

#include <algorithm>
#include <utility>

namespace lemonade::admin {

namespace {

constexpr std::size_t kLongestName = 64;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool isAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/// What an Authorization header can carry (RFC 6750, 2.1).
bool isTokenText(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return isAlphanumeric(c) || std::string_view("-._~+/=").find(c) != std::string_view::npos; });
}

bool isOwnerText(std::string_view text) {
  return !text.empty() && text.size() <= kLongestName && std::ranges::all_of(text, [](char c) {
    return isAlphanumeric(c) || std::string_view("-._@").find(c) != std::string_view::npos;
  });
}

/// In a time that depends on the length of what is guessed, and on nothing else: whoever measures how long a refusal
/// takes learns nothing of where the first wrong character stands, nor how long the secret is.
bool sameSecret(std::string_view secret, std::string_view guess) {
  volatile unsigned char differs = secret.size() == guess.size() ? 0 : 1;
  for (std::size_t i = 0; i < guess.size(); ++i) {
    const auto expected = static_cast<unsigned char>(secret[i % secret.size()]);
    differs = static_cast<unsigned char>(differs | (expected ^ static_cast<unsigned char>(guess[i])));
  }
  return differs == 0;
}

}  // namespace

Tokens Tokens::parse(std::string_view text, std::vector<Problem>& problems) {
  Tokens tokens;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto said = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (said.empty() || said.front() == '#') continue;
    const auto colon = said.find(':');
    const auto secret = trimmed(colon == std::string_view::npos ? said : said.substr(colon + 1));
    const auto owner = colon == std::string_view::npos ? std::string_view() : trimmed(said.substr(0, colon));
    const auto wrong = [&](std::string what) { problems.push_back({line, std::move(what)}); };
    if (colon != std::string_view::npos && !isOwnerText(owner))
      wrong("the name before the colon has 1 to " + std::to_string(kLongestName) + " of a-z, A-Z, 0-9 and -._@");
    else if (!isTokenText(secret))
      wrong("a token has letters, digits and -._~+/= only; write \"TOKEN\" or \"NAME: TOKEN\"");
    else if (secret.size() < kShortest || secret.size() > kLongest)
      wrong("a token has " + std::to_string(kShortest) + " to " + std::to_string(kLongest) +
            " characters; make one with: openssl rand -hex 32");
    else if (tokens.tokens_.size() == kMostTokens)
      wrong("there are more than " + std::to_string(kMostTokens) + " tokens");
    else
      tokens.tokens_.push_back(
          {owner.empty() ? "line " + std::to_string(line) : std::string(owner), std::string(secret)});
  }
  return tokens;
}

std::optional<std::string> Tokens::ownerOf(std::string_view token) const {
  const Token* found = nullptr;
  for (const auto& one : tokens_)
    if (sameSecret(one.secret, token)) found = &one;  // and goes on, so that the place in the file does not show
  return found == nullptr ? std::nullopt : std::optional(found->owner);
}

}  // namespace lemonade::admin
