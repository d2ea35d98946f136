// SPDX-License-Identifier: MIT
//
// The lines of the statsd protocol, in the three ways in which servers take labels.
#pragma once

#include <lemonade/sdk/metrics_sink.hpp>

#include <string>
#include <string_view>

namespace lemonade::statsd {

/// Where the labels of a series go.
enum class Tags {
  none,       ///< their values are parts of the name: name.value.value:1|c
  dogstatsd,  ///< name:1|c|#label:value,label:value
  influx,     ///< name,label=value,label=value:1|c
};

/// "none", "dogstatsd" or "influx", which the schema guarantees.
Tags tagsOf(std::string_view text) noexcept;

/// A number without an exponent, which some servers do not read, and as short as it reads back the same.
std::string digits(double value);

/// A name with what the protocol means by its signs mended: what is not a letter, a digit or one of "._-" becomes "_".
std::string mendedName(std::string_view name);

/// What the lines of one series have in common.
class SeriesName {
 public:
  /// `prefix` is mended already.
  SeriesName(Tags tags, std::string_view prefix, std::string_view name, const lemonade_series_t& series);

  /// One line without its line break: "name<suffix>:value|type", with the labels and, where rate is not 1, the sample
  /// rate at the places of the dialect.
  std::string line(std::string_view suffix, double value, std::string_view type, double rate = 1) const;

 private:
  std::string name_;    // before the suffix
  std::string behind_;  // between suffix and colon
  std::string end_;     // of the line
};

}  // namespace lemonade::statsd
