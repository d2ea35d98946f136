// SPDX-License-Identifier: MIT
//
// Prometheus text exposition format 0.0.4, written for whoever scrapes /metrics; and, where that is wanted, the one
// that has native histograms.
#include "protobuf.h"

#include <array>
#include <charconv>
#include <cmath>
#include <lemonade/sdk/metrics_sink.hpp>

namespace {

using lemonade::sdk::view;

/// Lines collected to large pieces, because each piece is a call into the host.
class Output {
 public:
  explicit Output(lemonade::sdk::Writer writer) : writer_(writer) { buffer_.reserve(kPiece + 4'096); }

  Output& operator<<(std::string_view text) {
    buffer_ += text;
    return *this;
  }

  /// The shortest text that reads back as the same number, with an exponent only where nobody could read it otherwise.
  Output& number(double value) {
    if (std::isnan(value)) return *this << "NaN";
    if (std::isinf(value)) return *this << (value > 0 ? "+Inf" : "-Inf");
    const double size = std::abs(value);
    const bool plain = size == 0 || (size >= 1e-9 && size < 1e18);
    std::array<char, 64> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value,
                                   plain ? std::chars_format::fixed : std::chars_format::scientific)
                         .ptr;
    return *this << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
  }
  Output& number(std::uint64_t value) {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    return *this << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
  }

  /// Text in which backslash and newline are escaped, and quotes where it stands between quotes.
  Output& escaped(std::string_view text, bool quotes) {
    for (const char c : text) {
      if (c == '\n')
        buffer_ += "\\n";
      else if (c == '\\' || (c == '"' && quotes))
        (buffer_ += '\\') += c;
      else
        buffer_ += c;
    }
    return *this;
  }

  void endLine() {
    buffer_ += '\n';
    if (buffer_.size() >= kPiece) flush();
  }
  void flush() {
    writer_.write(buffer_);
    buffer_.clear();
  }

 private:
  static constexpr std::size_t kPiece = 65'536;
  lemonade::sdk::Writer writer_;
  std::string buffer_;
};

class Prometheus : public lemonade::sdk::MetricsSink {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      lemonade::sdk::option("native_histograms", LEMONADE_OPTION_BOOLEAN, "false",
                            "Answers scrapers that take protobuf with native histograms beside the classic ones."),
  };

  Prometheus(lemonade::sdk::Host, const lemonade::sdk::Options& options)
      : native_(options.boolean("native_histograms")) {}

  std::string_view contentType(std::string_view accept) noexcept {
    return isProtobuf(accept) ? prometheus::kProtobufType : "text/plain; version=0.0.4; charset=utf-8";
  }

  void render(const lemonade::sdk::Snapshot& snapshot, std::string_view accept, lemonade::sdk::Writer writer) {
    isProtobuf(accept) ? writeProtobuf(snapshot, writer) : writeText(snapshot, writer);
  }

 private:
  bool isProtobuf(std::string_view accept) const noexcept { return native_ && prometheus::prefersProtobuf(accept); }

  static void writeProtobuf(const lemonade::sdk::Snapshot& snapshot, lemonade::sdk::Writer writer) {
    std::string piece;
    for (std::uint32_t i = 0; i < snapshot.size(); ++i) {
      prometheus::appendFamily(piece, snapshot[i]);
      writer.write(piece);
      piece.clear();
    }
  }

  static void writeText(const lemonade::sdk::Snapshot& snapshot, lemonade::sdk::Writer writer) {
    Output out(writer);
    for (std::uint32_t i = 0; i < snapshot.size(); ++i) writeFamily(out, snapshot[i]);
    out.flush();
  }

  static void writeFamily(Output& out, const lemonade::sdk::Family& family) {
    out << "# HELP " << family.name() << " ";
    out.escaped(family.help(), false).endLine();
    out << "# TYPE " << family.name() << " " << typeName(family.type());
    out.endLine();
    for (std::uint32_t i = 0; i < family.size(); ++i) {
      if (family.type() == LEMONADE_METRIC_HISTOGRAM)
        writeHistogram(out, family.name(), family[i]);
      else
        writeName(out, family.name(), "", family[i]) << " ", out.number(family[i].value).endLine();
    }
  }

  static void writeHistogram(Output& out, std::string_view name, const lemonade_series_t& series) {
    for (const auto& bucket : lemonade::sdk::buckets(series)) {
      writeName(out, name, "_bucket", series, &bucket.upper) << " ";
      out.number(bucket.cumulative).endLine();
    }
    writeName(out, name, "_sum", series) << " ";
    out.number(series.value).endLine();
    writeName(out, name, "_count", series) << " ";
    out.number(series.count).endLine();
  }

  /// name{label="value",...}, with le last where there is an upper bound.
  static Output& writeName(Output& out, std::string_view name, std::string_view suffix, const lemonade_series_t& series,
                           const double* upper = nullptr) {
    out << name << suffix;
    std::string_view separator = "{";
    for (const auto& label : lemonade::sdk::labels(series)) {
      out << separator << view(label.name) << "=\"";
      out.escaped(view(label.value), true) << "\"";
      separator = ",";
    }
    if (upper != nullptr) {
      out << separator << "le=\"";
      out.number(*upper) << "\"";
      separator = ",";
    }
    return separator == "," ? out << "}" : out;
  }

  static std::string_view typeName(std::uint32_t type) noexcept {
    switch (type) {
      case LEMONADE_METRIC_COUNTER:
        return "counter";
      case LEMONADE_METRIC_GAUGE:
        return "gauge";
      case LEMONADE_METRIC_HISTOGRAM:
        return "histogram";
      default:
        return "untyped";
    }
  }

  const bool native_;
};

}  // namespace

LEMONADE_METRICS_SINK(
    Prometheus, .id = "prometheus", .version = "1.0.0", .name = "Prometheus", .vendor = "Lemonade",
    .doc = "Answers scrapers of /metrics in the Prometheus text format 0.0.4, or with native histograms.",
    .flags = LEMONADE_FLAG_UNLOAD_SAFE)
