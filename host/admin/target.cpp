// SPDX-License-Identifier: MIT
#include "admin/target.h"

#include <Poco/Exception.h>
#include <Poco/String.h>
#include <Poco/URI.h>

namespace lemonade::admin {

std::optional<Target> parseTarget(std::string_view text) {
  constexpr std::string_view scheme = "http://";
  Target target;
  if (Poco::icompare(std::string(text.substr(0, scheme.size())), scheme.data()) == 0) {
    text.remove_prefix(scheme.size());
    const auto end = text.find_first_of("/?");
    target.authority = text.substr(0, end);
    text.remove_prefix(target.authority->size());
  } else if (!text.starts_with('/')) {
    return std::nullopt;
  }
  if (text.find('#') != std::string_view::npos) return std::nullopt;
  const auto question = text.find('?');
  if (question != std::string_view::npos) target.query = text.substr(question + 1);
  try {
    Poco::URI::decode(std::string(text.substr(0, question)), target.path);
  } catch (const Poco::Exception&) {
    return std::nullopt;
  }
  if (target.path.empty()) target.path = "/";
  return target;
}

std::optional<std::map<std::string, std::string>> parseQuery(const std::string& query) try {
  Poco::URI uri;
  uri.setRawQuery(query);
  std::map<std::string, std::string> parameters;
  for (auto& [name, value] : uri.getQueryParameters()) parameters.insert_or_assign(name, value);
  return parameters;
} catch (const Poco::Exception&) {
  return std::nullopt;
}

}  // namespace lemonade::admin
