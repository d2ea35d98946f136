// SPDX-License-Identifier: MIT
//
// The file as the file system has it.
#include "validate/check.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace lemonade::validate {

namespace {

struct stat statusOf(const Subject& subject) {
  struct stat status {};
  (void)::stat(subject.path.c_str(), &status);
  return status;
}

Outcome regular(const Subject& subject) {
  return S_ISREG(statusOf(subject).st_mode) ? pass() : fail("it is no regular file");
}

Outcome owner(const Subject& subject) {
  const auto uid = statusOf(subject).st_uid;
  return uid == 0 || uid == ::geteuid() ? pass() : fail("it is owned by user " + std::to_string(uid));
}

Outcome mode(const Subject& subject) {
  const auto bits = statusOf(subject).st_mode;
  if ((bits & (S_IWGRP | S_IWOTH)) == 0) return pass();
  return fail((bits & S_IWOTH) != 0 ? "others may write it" : "its group may write it");
}

Outcome link(const Subject& subject) {
  struct stat status {};
  if (::lstat(subject.path.c_str(), &status) == 0 && S_ISLNK(status.st_mode))
    return warn("it is a symbolic link: whoever owns the folder that it points into replaces your code");
  return pass();
}

Outcome name(const Subject& subject) {
  const std::string_view path = subject.path;
  return path.size() > 3 && path.substr(path.size() - 3) == ".so"
             ? pass()
             : warn("its name does not end in .so: no scan finds it");
}

constexpr Check kChecks[] = {
    {"file.regular", "is a regular file", "give the shared object itself", regular},
    {"file.owner", "belongs to root or to the user that runs this", "chown it", owner, "file.regular"},
    {"file.mode", "can be written by its owner alone", "chmod go-w it", mode, "file.regular"},
    {"file.link", "is no symbolic link", "install the file itself", link},
    {"file.name", "has a name that the balancer looks at", "rename it", name},
};

}  // namespace

std::span<const Check> fileChecks() { return kChecks; }

}  // namespace lemonade::validate
