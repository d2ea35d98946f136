// SPDX-License-Identifier: MIT
#include "rehearsal/rehearsal.h"

#include "plugin/loader.h"
#include "plugin/process_state.h"
#include "rehearsal/try_plugin.h"

#include <exception>
#include <optional>
#include <utility>
#include <vector>

namespace lemonade {

namespace {

using plugin::Moment;
using plugin::ProcessState;

constexpr const char* kCatch = "catch everything where the host calls in";

void onThread(ControlLoop& loop, const std::function<void()>& step) {
  (void)onLoop(loop, [&] {
    step();
    return success();
  });
}

/// One life of a plugin: loaded, created and destroyed on the control thread, called on another one that ends after it.
/// What it has changed is looked for in the very step in which it may have been: the next one may never come.
class Life {
 public:
  /// Both loops run.
  Life(plugin::Loader& loader, const plugin::PluginFile& file, const Rehearsal& rehearsal, ControlLoop& control,
       ControlLoop& caller, const OnStage& on_stage, const OnObjection& on_objection)
      : loader_(loader),
        file_(file),
        control_(control),
        caller_(caller),
        on_stage_(on_stage),
        on_objection_(on_objection),
        context_{rehearsal, control, on_stage, [this](Moment moment) { return look(moment); }} {}

  template <class Table>
  void run() {
    onThread(control_, [&] { control_before_ = ProcessState::now(); });
    onThread(caller_, [&] { caller_before_ = ProcessState::now(); });
    std::shared_ptr<const plugin::Image> image;
    onThread(control_, [&] { image = load(); });
    if (image == nullptr) return;
    live<Table>();
    if (objected_) return;
    on_stage_("being unmapped");
    onThread(control_, [&] { image.reset(); });
    on_stage_("a thread ends that has called it");
    caller_.stop();
  }

 private:
  /// Nothing where it cannot be, or not without changing the process.
  std::shared_ptr<const plugin::Image> load() {
    on_stage_("being loaded");
    auto loaded = loader_.load(file_);
    return loaded && look(Moment::kLoaded) ? std::move(loaded).value() : nullptr;
  }

  template <class Table>
  void live() {
    std::optional<plugin::Instance<Table>> instance;
    onThread(control_, [&] {
      on_stage_("being created");
      std::vector<plugin::OptionProblem> problems;
      if (auto made = loader_.create<Table>(file_, context_.rehearsal.choice, problems))
        instance.emplace(std::move(*made));
      (void)look(Moment::kCreated);
    });
    if (!instance) return;
    if (!objected_) (void)onLoop(caller_, [&] { return call(*instance); });
    onThread(control_, [&] {
      if (!look(Moment::kCalled)) return;
      on_stage_("being destroyed");
      instance.reset();
      (void)look(Moment::kEnded);
    });
  }

  template <class Instance>
  Status call(Instance& instance) {
    const auto tried = tryPlugin(instance, context_);
    if (!tried) object({tried.error().message, ""});
    (void)look(Moment::kCalled);
    return success();
  }

  /// Objects to what differs from before on the calling thread; false where there is an objection.
  bool look(Moment moment) {
    if (objected_) return false;
    const bool may_go = (file_.flags & LEMONADE_FLAG_UNLOAD_SAFE) != 0;
    const auto& before = control_.isCurrent() ? control_before_ : caller_before_;
    const auto after = moment == Moment::kEnded ? ProcessState::afterEnd(before, !may_go) : ProcessState::now();
    if (const auto change = before.changeIn(after, {moment, may_go, file_.id})) object({change->text, change->mend});
    return !objected_;
  }

  void object(const Objection& objection) {
    if (!std::exchange(objected_, true)) on_objection_(objection);
  }

  plugin::Loader& loader_;
  const plugin::PluginFile& file_;
  ControlLoop& control_;
  ControlLoop& caller_;
  const OnStage& on_stage_;
  const OnObjection& on_objection_;
  const RehearsalContext context_;
  ProcessState control_before_;
  ProcessState caller_before_;
  bool objected_ = false;  // each thread waits for the other one
};

}  // namespace

Status onLoop(ControlLoop& loop, const std::function<Status()>& step) {
  Status status = success();
  std::exception_ptr thrown;
  loop.run([&] {
    try {
      status = step();
    } catch (...) {
      thrown = std::current_exception();
    }
  });
  if (thrown) std::rethrow_exception(thrown);
  return status;
}

void rehearse(const Rehearsal& rehearsal, const plugin::PluginFile& file, const OnStage& on_stage,
              const OnObjection& on_objection) try {
  // Kept until the process ends, as host handles demand.
  auto& control = *new ControlLoop;
  auto& caller = *new ControlLoop("caller");
  auto& loader = *new plugin::Loader(control, *new plugin::MetricCells);
  control.start();
  caller.start();
  plugin::forEachKind(rehearsal.kind, [&]<class Table>(std::type_identity<Table>) {
    Life(loader, file, rehearsal, control, caller, on_stage, on_objection).run<Table>();
  });
} catch (const std::exception& e) {
  on_objection({std::string("threw an exception through the ABI: ") + e.what(), kCatch});
} catch (...) {
  on_objection({"threw an exception through the ABI", kCatch});
}

}  // namespace lemonade
