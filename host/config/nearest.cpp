// SPDX-License-Identifier: MIT
#include "config/nearest.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace lemonade::config {
namespace {

/// Levenshtein's distance by Wagner and Fischer, one row at a time.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, diagonal + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string suggestion(std::string_view given, std::span<const std::string> known) {
  const std::string* nearest = nullptr;
  std::size_t nearest_distance = std::max<std::size_t>(2, given.size() / 3) + 1;
  std::string all;
  for (const auto& word : known) {
    all += (all.empty() ? "" : ", ") + word;
    const bool comparable = given.size() <= 2 * word.size() + 2;
    const auto word_distance = comparable ? distance(given, word) : nearest_distance;
    if (word_distance < nearest_distance) {
      nearest = &word;
      nearest_distance = word_distance;
    }
  }
  return nearest != nullptr ? "did you mean " + *nearest + "?" : "known are " + all;
}

}  // namespace lemonade::config
