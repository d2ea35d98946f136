// SPDX-License-Identifier: MIT
#include "plugin/kind.h"

namespace lemonade::plugin {

std::string kindWords(std::uint32_t kinds) {
  std::string words;
  forEachKind(kinds, [&]<class Table>(std::type_identity<Table>) {
    words += (words.empty() ? "" : ", ") + std::string(kKindOf<Table>.words);
  });
  return words;
}

}  // namespace lemonade::plugin
