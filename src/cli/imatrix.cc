// `hachi imatrix`: which inputs of each matrix matter, measured on a text, for `hachi quantize`.
#include <cstdio>

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/loaded_model.h"
#include "cli/terminal.h"
#include "core/files.h"
#include "quantize/calibration.h"

namespace hachi::cli {
namespace {

struct ImatrixOptions {
  ModelOptions model;
  std::string file;
  std::string out;
  int64_t chunks = 0;
  bool force = false;
};

Result<int> run_imatrix(const ImatrixOptions& options) {
  const InterruptGuard guard;
  std::error_code ignored;
  if (!options.force && std::filesystem::exists(options.out, ignored)) {
    return fail(Code::kInvalidArgument, "{}: it is there already; --force replaces it",
                options.out);
  }
  TRY(const std::string text, read_file(options.file, kMaxInputBytes));
  TRY(const LoadedModel loaded, load_model(options.model));
  const int64_t size = std::min(quantize::kChunkTokens, loaded.model.config().context_length);
  TRY(const auto chunks,
      quantize::calibration_chunks(loaded.tokenizer, text, size, options.chunks));
  ThreadPool pool(options.model.threads > 0 ? options.model.threads : usable_cpus());
  ProgressLine progress("chunks", options.model.quiet);
  TRY(quantize::Importance importance,
      quantize::measure_importance(
          loaded.checkpoint, chunks, pool,
          [&](int64_t done, int64_t total) { progress.update(done, total); },
          InterruptGuard::requested));
  progress.erase();
  importance.datasets = {std::filesystem::path(options.file).filename().string()};
  TRY(write_importance(options.out, importance));
  if (!options.model.quiet) {
    fmt::print(stderr, "{}: {} matrices over {} chunks of {} tokens\n", printable(options.out),
               importance.matrices.size(), importance.num_chunks, importance.chunk_size);
  }
  return 0;
}

}  // namespace

Command add_imatrix(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "imatrix", "Measure on a text which weights matter, for hachi quantize --imatrix");
  auto options = std::make_shared<ImatrixOptions>();
  add_model_argument(*app, options->model);
  app->add_option("--file", options->file, "The text, of the kind that the model is for")
      ->required()
      ->type_name("FILE");
  app->add_option("--output,-o", options->out, "The file to write")->required()->type_name("FILE");
  app->add_option("--chunks", options->chunks,
                  "Chunks of 512 tokens to take, spread over the text (default: all)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20).description(""))
      ->type_name("N");
  app->add_option("--threads", options->model.threads,
                  "Threads to compute with (default: all allowed)")
      ->check(CLI::Range(1, 1024).description(""))
      ->type_name("N");
  app->add_flag("--force", options->force, "Replace a file that is there");
  app->add_flag("--quiet,-q", options->model.quiet, "No progress and no closing words");
  app->footer(R"(
Examples:
  hachi imatrix ~/models/Qwen3-8B --file book.txt --chunks 100 -o qwen3-8b.imatrix
  hachi quantize ~/models/Qwen3-8B --to IQ3_M --imatrix qwen3-8b.imatrix -o small.gguf)");
  return {app, [options] { return run_imatrix(*options); }};
}

}  // namespace hachi::cli
