// `hachi quantize`: a model as a GGUF file of another type, or how far such a file is from its
// source.
#include <cstdio>

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/loaded_model.h"
#include "cli/quantize_check.h"
#include "cli/quantize_report.h"
#include "cli/store.h"
#include "cli/terminal.h"
#include "core/files.h"
#include "quantize/blocks.h"
#include "quantize/calibration.h"
#include "quantize/write_model.h"

namespace hachi::cli {
namespace {

namespace fs = std::filesystem;
using quantize::Plan;
using quantize::Source;

struct QuantizeOptions {
  ModelOptions model;  // of which threads and quiet are used
  std::string quantized;
  std::string to;
  std::string out;
  std::string importance;
  std::string file;
  std::vector<std::string> tensors;
  std::string output_type;
  std::string embedding_type;
  int64_t chunks = 64;
  double damping = quantize::kDefaultDamping;
  bool panels = false;
  bool gptq = false;
  bool check = false;
  bool dry_run = false;
  bool json = false;
  bool force = false;
};

std::string all_file_types() {
  std::string all;
  for (const model::FileType& type : model::file_types()) {
    all += fmt::format("{}{}", all.empty() ? "" : " ", type.name);
  }
  return all;
}

// None for "keep".
Result<const model::FileType*> parse_file_type(const std::string& name) {
  if (name.empty()) {
    return fail(Code::kInvalidArgument, "--to TYPE is missing, one of {}, or keep",
                all_file_types());
  }
  if (name == "keep") return nullptr;
  if (const model::FileType* type = model::find_file_type(name)) return type;
  return fail(Code::kInvalidArgument, "--to {}: there is no such type, only {}, or keep", name,
              all_file_types());
}

Result<DType> parse_type(std::string_view option, std::string_view name) {
  const auto type = dtype_from_name(name);
  if (type && quantize::can_quantize(*type)) return *type;
  return fail(Code::kInvalidArgument,
              "{}: '{}' is not a type of a tensor that can be written (such as Q6_K, Q8_0 or F16)",
              option, name);
}

Result<quantize::TypeOverride> parse_override(const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) {
    return fail(Code::kInvalidArgument, "--tensor {}: it must be REGEX=TYPE, such as ffn_down=Q6_K",
                text);
  }
  TRY(const DType type, parse_type("--tensor " + text, text.substr(equals + 1)));
  return quantize::TypeOverride{text.substr(0, equals), type};
}

Result<quantize::PlanOptions> plan_options(const QuantizeOptions& options) {
  quantize::PlanOptions plan;
  plan.panels = options.panels;
  for (const std::string& text : options.tensors) {
    TRY(auto one, parse_override(text));
    plan.overrides.push_back(std::move(one));
  }
  if (!options.output_type.empty()) {
    TRY(plan.output_type, parse_type("--output-type", options.output_type));
  }
  if (!options.embedding_type.empty()) {
    TRY(plan.embedding_type, parse_type("--embedding-type", options.embedding_type));
  }
  return plan;
}

// Before any work: that there is a place to write to, and nothing is lost by it.
Result<void> check_place(const QuantizeOptions& options, const formats::Checkpoint& source) {
  if (options.dry_run) return {};
  if (options.out.empty()) {
    return fail(Code::kInvalidArgument, "-o OUT.gguf is missing (--dry-run needs none)");
  }
  std::error_code ignored;
  if (fs::equivalent(options.out, source.path(), ignored)) {
    return fail(Code::kInvalidArgument, "{}: this is the model itself; write to another file",
                options.out);
  }
  if (fs::is_directory(options.out, ignored)) {
    return fail(Code::kInvalidArgument, "{}: this is a folder; name a file", options.out);
  }
  if (!options.force && fs::exists(options.out, ignored)) {
    return fail(Code::kInvalidArgument, "{}: it is there already; --force replaces it",
                options.out);
  }
  return {};
}

Result<std::unique_ptr<quantize::Gptq>> start_gptq(const QuantizeOptions& options,
                                                   const Source& source, const Plan& plan,
                                                   ThreadPool& pool) {
  if (!options.gptq || options.dry_run) return nullptr;
  TRY(const auto tokenizer, tokenizer::Tokenizer::load(*source.checkpoint));
  TRY(const model::ModelConfig config, model::read_config(*source.checkpoint, {}));
  if (tokenizer.rows_needed() > config.vocab_size) {
    return fail(Code::kCorrupt, "{}: the tokenizer has {} tokens and the model only {}",
                source.checkpoint->path().string(), tokenizer.vocab_size(), config.vocab_size);
  }
  TRY(const std::string text, read_file(options.file, kMaxInputBytes));
  const int64_t size = std::min(quantize::kChunkTokens, config.context_length);
  TRY(const auto chunks, quantize::calibration_chunks(tokenizer, text, size, options.chunks));
  return quantize::Gptq::create(
      source, plan, chunks, pool,
      {.damping = options.damping, .should_stop = InterruptGuard::requested});
}

Result<QuantizeResult> write(const QuantizeOptions& options, const Source& source,
                             const Plan& plan) {
  if (options.dry_run) return QuantizeResult{};
  const Stopwatch clock;
  ThreadPool pool(options.model.threads > 0 ? options.model.threads : usable_cpus());
  TRY(const auto gptq, start_gptq(options, source, plan, pool));
  TensorProgress progress(options.model.quiet);
  quantize::WriteOptions write_options;
  write_options.progress = [&](const Plan& of, size_t next, uint64_t bytes) {
    progress.update(of, next, bytes);
  };
  write_options.should_stop = InterruptGuard::requested;
  write_options.gptq = gptq.get();
  QuantizeResult result;
  result.path = options.out;
  TRY(result.file_bytes, write_model(source, plan, options.out, pool, write_options));
  result.seconds = clock.seconds();
  return result;
}

void print_result(const QuantizeOptions& options, const Plan& plan, const QuantizeResult& result) {
  if (options.json) {
    fmt::print("{}", plan_json(plan, result));
    return;
  }
  fmt::print("{}", plan_table(plan));
  if (!result.path.empty()) {
    fmt::print("{}: {} in {:.1f} s\n", printable(result.path), human_bytes(result.file_bytes),
               result.seconds);
  }
}

Result<int> run_quantize(const QuantizeOptions& options) {
  const InterruptGuard guard;
  TRY(const model::FileType* type, parse_file_type(options.to));
  TRY(quantize::PlanOptions planned, plan_options(options));
  if (options.gptq && options.file.empty()) {
    return fail(Code::kInvalidArgument, "--gptq needs --file TEXT, a text to watch the model on");
  }
  TRY(auto checkpoint, open_checkpoint(options.model.model));
  TRY(check_place(options, *checkpoint));
  quantize::Importance importance;
  if (!options.importance.empty()) {
    TRY(importance, quantize::read_importance(options.importance));
    planned.importance = &importance;
  }
  TRY(const Source source, quantize::open_source(std::move(checkpoint)));
  const bool needs_all = !options.gptq && !options.dry_run;
  TRY(const Plan plan, quantize::make_plan(source, type, planned, needs_all));
  if (type != nullptr && source.is_quantized() && !options.model.quiet) {
    fmt::print(stderr,
               "note: the source is quantized itself, and its errors stay; a source in F16, BF16 "
               "or F32 makes a better file\n");
  }
  TRY(const QuantizeResult result, write(options, source, plan));
  print_result(options, plan, result);
  return 0;
}

Result<int> run(const QuantizeOptions& options) {
  if (!options.check) {
    if (options.quantized.empty()) return run_quantize(options);
    return fail(Code::kInvalidArgument, "two models are for --check; write with -o OUT.gguf");
  }
  if (options.quantized.empty()) {
    return fail(Code::kInvalidArgument, "--check needs two models: the source and the quantized");
  }
  return check_quantized({.source = options.model,
                          .quantized = options.quantized,
                          .file = options.file,
                          .json = options.json});
}

void add_options(CLI::App& app, QuantizeOptions& options) {
  add_model_argument(app, options.model);
  app.add_option("QUANTIZED", options.quantized, "With --check: the model made from MODEL")
      ->type_name("MODEL");
  app.add_option("--to", options.to, "Type of the file (below), or keep: as the tensors are")
      ->type_name("TYPE");
  app.add_option("--output,-o", options.out, "The GGUF file to write")->type_name("FILE");
  app.add_option("--imatrix", options.importance, "Importance of inputs, from hachi imatrix")
      ->type_name("FILE");
  app.add_option("--tensor", options.tensors,
                 "Type of the tensors whose names match; can be given again, the first that "
                 "matches counts")
      ->allow_extra_args(false)
      ->type_name("REGEX=TYPE");
  app.add_option("--output-type", options.output_type, "Type of the output matrix")
      ->type_name("TYPE");
  app.add_option("--embedding-type", options.embedding_type, "Type of the token embedding")
      ->type_name("TYPE");
  app.add_flag("--panels", options.panels,
               "Store matrices in the order in which products read them: such a file needs no "
               "repacking when it is loaded, and only Hachi reads it");
  app.add_flag("--gptq", options.gptq, "Make up for rounding errors, watching the model on --file");
  app.add_option("--file", options.file, "The text for --gptq or --check")->type_name("FILE");
  app.add_option("--chunks", options.chunks, "Chunks of 512 tokens of it that --gptq takes; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20).description(""))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--damping", options.damping,
                 "Of --gptq: more where other texts differ from this one")
      ->check(CLI::Range(1e-6, 10.0).description(""))
      ->type_name("X")
      ->capture_default_str();
  app.add_flag("--check", options.check, "Compare MODEL with QUANTIZED instead of writing");
  app.add_option("--context", options.model.context, "Tokens of a window of --check (default: 512)")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 20).description(""))
      ->type_name("N");
  app.add_option("--threads", options.model.threads,
                 "Threads to compute with (default: all allowed)")
      ->check(CLI::Range(1, 1024).description(""))
      ->type_name("N");
  app.add_flag("--dry-run", options.dry_run, "Only show what would become of each tensor");
  app.add_flag("--json", options.json, "Print one JSON object");
  app.add_flag("--force", options.force, "Replace a file that is there");
  app.add_flag("--quiet,-q", options.model.quiet, "No progress and no notes");
}

}  // namespace

Command add_quantize(CLI::App& program) {
  CLI::App* app =
      program.add_subcommand("quantize", "Write a model as a smaller GGUF file, or check one");
  auto options = std::make_shared<QuantizeOptions>();
  add_options(*app, *options);
  app->footer("\nTypes: " + all_file_types() + R"(

Examples:
  hachi quantize ~/models/Qwen3-8B --to Q4_K_M -o qwen3-8b-q4_k_m.gguf
  hachi quantize model.gguf --to Q4_0 --gptq --file book.txt -o better.gguf
  hachi quantize model.gguf --to IQ3_M --imatrix model.imatrix --tensor 'attn_v=Q6_K' -o small.gguf
  hachi quantize model.gguf --to keep --panels -o fast.gguf
  hachi quantize --check model.gguf small.gguf --file book.txt)");
  return {app, [options] { return run(*options); }};
}

}  // namespace hachi::cli
