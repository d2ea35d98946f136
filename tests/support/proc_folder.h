// SPDX-License-Identifier: MIT
//
// A folder that stands in for /proc, with the files that a test writes.
#pragma once

#include <catch2/catch.hpp>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace lemonade::test {

class ProcFolder {
 public:
  ProcFolder() {
    char name[] = "/tmp/lemonade-proc-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~ProcFolder() { std::filesystem::remove_all(path); }
  ProcFolder(const ProcFolder&) = delete;
  ProcFolder& operator=(const ProcFolder&) = delete;

  /// file begins with a slash, and what follows "/proc".
  ProcFolder& write(const std::string& file, const std::string& text) {
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
