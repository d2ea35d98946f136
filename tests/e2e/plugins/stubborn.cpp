// SPDX-License-Identifier: MIT
//
// A strategy that gives one and the same answer, whatever it is asked: what a broken plugin does to the host.
#include <lemonade/sdk/strategy.hpp>

namespace {

using namespace lemonade::sdk;

class Stubborn : public Strategy {
 public:
  static constexpr lemonade_option_t kOptions[] = {option("answer", LEMONADE_OPTION_CHOICE, "none",
                                                          "What every pick answers.", 0, 0,
                                                          "none,reject,out_of_range,first_backend")};

  explicit Stubborn(const Options& options) : answer_(answerOf(options.text("answer"))) {}

  std::uint32_t pick(const Pick<>&) noexcept { return answer_; }

 private:
  static std::uint32_t answerOf(std::string_view text) {
    if (text == "none") return LEMONADE_PICK_NONE;
    if (text == "reject") return LEMONADE_PICK_REJECT;
    return text == "first_backend" ? 0 : 1'000'000;
  }

  const std::uint32_t answer_;
};

}  // namespace

LEMONADE_STRATEGY(Stubborn, .id = "com.example.stubborn", .version = "1.0.0", .name = "Stubborn", .vendor = "Example",
                  .doc = "Always gives the same answer, right or wrong.")
