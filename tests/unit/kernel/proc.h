// SPDX-License-Identifier: MIT
//
// A folder that stands for /proc, with what a test writes there.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace lemonade::test {

class Proc {
 public:
  Proc() {
    char name[] = "/tmp/lemonade-proc-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~Proc() { std::filesystem::remove_all(path); }
  Proc(const Proc&) = delete;
  Proc& operator=(const Proc&) = delete;

  Proc& write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path + file).parent_path());
    std::ofstream(path + file) << text;
    return *this;
  }
  std::string read(const std::string& file) const {
    std::ifstream in(path + file);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string path;
};

}  // namespace lemonade::test
