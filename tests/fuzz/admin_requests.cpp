// SPDX-License-Identifier: MIT
//
// The bytes that a client of the admin listener sends. The first byte is the size of their pieces.
#include "target.h"

#include "admin/access.h"
#include "admin/request_reader.h"

#include <algorithm>

namespace admin = lemonade::admin;
using lemonade::fuzz::require;
using State = admin::RequestReader::Progress;

namespace {

/// The requests that are read before one that is refused, which may be refused a little later in small pieces.
std::string read(std::string_view bytes, std::size_t piece) {
  admin::RequestReader reader(512, 64);
  const admin::Access access({"name"});
  std::string requests;
  for (auto state = State::kHead; state != State::kRefused && !bytes.empty();) {
    state = reader.take(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (; state == State::kComplete; state = reader.take({})) {
      require(reader.request().body.size() <= 64, "a body keeps its limit");
      const auto refusal = access.refusal(reader.head());
      requests += std::to_string(refusal ? refusal->status : 200) + " " + reader.request().method + " " +
                  reader.request().path + "?" + reader.request().query + " " + reader.request().body + "\n";
      reader.next();
    }
  }
  return requests;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = lemonade::fuzz::textOf(data, size);
  if (text.empty()) return 0;
  const auto bytes = text.substr(1);
  const auto whole = read(bytes, bytes.size());
  require(whole == read(bytes, std::max<std::size_t>(1, data[0])), "how the bytes were split does not matter");
  return 0;
}
