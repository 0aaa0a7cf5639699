#include "engine/tensor_parallel.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace hachi::engine {
namespace {

enum Order : int32_t {
  kForward,  // T, S, ids [T], positions [T], then of each sequence: tokens, pages, the page numbers
  kLogits,   // rows
  kDraw,     // rows; and the tokens that rank 0 draws from them come by the collective
  kSavePages,  // pairs of a page and one of the processor's memory
  kSavePagesBeside,
  kLoadPages,
  kDone,
};

// Pages that the positions of a span reach.
size_t pages_of(const ops::BatchView& batch, const ops::SequenceSpan& span) {
  if (span.num_tokens == 0) return 0;
  const auto last = static_cast<size_t>(span.first_token + span.num_tokens - 1);
  return static_cast<size_t>(batch.positions[last] / model::KvCache::kPageTokens + 1);
}

void write_batch(const ops::BatchView& batch, std::vector<int32_t>& words) {
  words.assign(
      {static_cast<int32_t>(batch.ids.size()), static_cast<int32_t>(batch.sequences.size())});
  words.insert(words.end(), batch.ids.begin(), batch.ids.end());
  words.insert(words.end(), batch.positions.begin(), batch.positions.end());
  for (const ops::SequenceSpan& span : batch.sequences) {
    const auto pages = span.pages.first(pages_of(batch, span));
    words.push_back(static_cast<int32_t>(span.num_tokens));
    words.push_back(static_cast<int32_t>(pages.size()));
    words.insert(words.end(), pages.begin(), pages.end());
  }
}

// Reads an order's words; past their end there are none, and it is not well.
class Reader {
 public:
  explicit Reader(std::span<const int32_t> words) : words_(words) {}

  int32_t next() {
    const auto one = some(1);
    return one.empty() ? 0 : one.front();
  }
  std::span<const int32_t> some(int64_t count) {
    if (count < 0 || static_cast<size_t>(count) > words_.size()) {
      is_well_ = false;
      return {};
    }
    const auto taken = words_.first(static_cast<size_t>(count));
    words_ = words_.subspan(taken.size());
    return taken;
  }
  bool is_well() const { return is_well_ && words_.empty(); }

 private:
  std::span<const int32_t> words_;
  bool is_well_ = true;
};

bool lie_within(std::span<const int32_t> values, int64_t low, int64_t end) {
  return std::all_of(values.begin(), values.end(),
                     [&](int32_t value) { return value >= low && value < end; });
}

class Follower {
 public:
  explicit Follower(ModelRunner& own) : own_(own) {}

  // Words of any order: tokens, rows, and the pages of all sequences.
  size_t max_words() const {
    const int64_t tokens = own_.max_tokens();
    const int64_t pages = own_.context_length() / own_.page_tokens() + 1;
    const int64_t forward = 2 + 4 * tokens + tokens * pages;
    const int64_t copies = 2 * std::max(own_.num_host_pages(), own_.num_pages());
    return static_cast<size_t>(std::max({forward, own_.max_rows(), copies}));
  }

  Result<void> run(int32_t kind, std::span<const int32_t> words) {
    if (obey(kind, words)) return {};
    return fail(Code::kCorrupt, "rank 0 sent an order of kind {} with {} words that cannot be",
                kind, words.size());
  }

 private:
  // False if it cannot be.
  bool obey(int32_t kind, std::span<const int32_t> words) {
    switch (kind) {
      case kForward:
        return forward(words);
      case kLogits:
      case kDraw:
        return head(words, kind == kDraw);
      case kSavePages:
        return copy_pages(words, &ModelRunner::save_pages);
      case kSavePagesBeside:
        return copy_pages(words, &ModelRunner::save_pages_beside);
      case kLoadPages:
        return copy_pages(words, &ModelRunner::load_pages);
      default:
        return false;
    }
  }

  using Copy = void (ModelRunner::*)(std::span<const model::PageCopy>);
  bool copy_pages(std::span<const int32_t> words, Copy copy) {
    copies_.clear();
    if (words.size() % 2 != 0) return false;
    for (size_t i = 0; i < words.size(); i += 2) {
      if (!lie_within(words.subspan(i, 1), 0, own_.num_pages())) return false;
      if (!lie_within(words.subspan(i + 1, 1), 0, own_.num_host_pages())) return false;
      copies_.push_back({words[i], words[i + 1]});
    }
    (own_.*copy)(copies_);
    return true;
  }

  bool forward(std::span<const int32_t> words) {
    Reader reader(words);
    const int64_t tokens = reader.next();
    const int64_t sequences = reader.next();
    if (tokens > own_.max_tokens() || sequences > tokens) return false;
    ops::BatchView batch;
    batch.ids = reader.some(tokens);
    batch.positions = reader.some(tokens);
    spans_.clear();
    int64_t first = 0;
    for (int64_t i = 0; i < sequences; ++i) {
      const int64_t count = reader.next();
      const auto pages = reader.some(reader.next());
      if (count < 0 || first + count > tokens) return false;
      spans_.push_back({first, count, pages});
      if (!lie_within(pages, 0, own_.num_pages())) return false;
      first += count;
    }
    batch.sequences = spans_;
    if (!reader.is_well() || first != tokens || !are_right(batch)) return false;
    own_.forward(batch);
    return true;
  }

  // Positions of a sequence follow each other, and it has their pages.
  bool are_right(const ops::BatchView& batch) const {
    const int64_t drawn = own_.draws() ? own_.max_rows() : 0;
    if (!lie_within(batch.ids, -drawn, own_.vocab_size())) return false;
    if (!lie_within(batch.positions, 0, INT32_MAX)) return false;
    for (const ops::SequenceSpan& span : batch.sequences) {
      for (int64_t i = 1; i < span.num_tokens; ++i) {
        const auto at = static_cast<size_t>(span.first_token + i);
        if (batch.positions[at] != batch.positions[at - 1] + 1) return false;
      }
      if (pages_of(batch, span) != span.pages.size()) return false;
    }
    return true;
  }

  bool head(std::span<const int32_t> words, bool draws) {
    if (static_cast<int64_t>(words.size()) > own_.max_rows()) return false;
    if (!lie_within(words, 0, own_.max_tokens())) return false;
    rows_.assign(words.begin(), words.end());
    own_.follow_head(rows_, draws);
    return true;
  }

  ModelRunner& own_;
  std::vector<ops::SequenceSpan> spans_;
  std::vector<int64_t> rows_;
  std::vector<model::PageCopy> copies_;
};

}  // namespace

Result<std::unique_ptr<ops::Collective>> make_collective(RankGroup& group, ops::Gpu* gpu) {
  const bool has_gpu = gpu != nullptr;
  if (!group.all_say(has_gpu ? 1 : 0)) {
    return fail(Code::kUnsupported,
                "some ranks have a GPU and some have none, rank {} {}: give each one of its own, "
                "or say --device cpu",
                group.rank(), has_gpu ? "has one" : "has none");
  }
  if (!has_gpu) {
    return ops::tcp_collective(group.rank(), group.size(), group.take_data_sockets(),
                               [&group](int rank, std::string_view why) { group.lose(rank, why); });
  }
  ops::NcclId id{};
  if (group.rank() == 0) {
    TRY(id, ops::new_nccl_id());
  }
  group.share(id);
  return ops::nccl_collective(*gpu, group.rank(), group.size(), id);
}

Result<void> check_alike(RankGroup& group, const model::ModelConfig& config,
                         const RunnerOptions& options) {
  const int64_t numbers[] = {config.vocab_size,
                             config.hidden_size,
                             config.num_layers,
                             config.num_heads,
                             config.num_kv_heads,
                             config.head_dim,
                             config.ffn_size,
                             config.context_length,
                             options.max_tokens,
                             options.max_rows,
                             static_cast<int64_t>(options.kv_dtype)};
  uint64_t sum = 0;
  for (const int64_t number : numbers) {
    constexpr uint64_t kPrime = 0x100000001b3;
    sum = (sum ^ static_cast<uint64_t>(number)) * kPrime;
  }
  // Without the sign, which all_say() may change.
  if (group.all_say(static_cast<int64_t>(sum >> 1))) return {};
  return fail(Code::kInvalidArgument,
              "the ranks do not run the same model with the same options: start all of them with "
              "the same command line");
}

LeadingModel::LeadingModel(RankGroup& group, std::unique_ptr<ModelRunner> own)
    : group_(&group), own_(std::move(own)) {}

LeadingModel::~LeadingModel() { group_->order(kDone, {}); }

void LeadingModel::forward(const ops::BatchView& batch) {
  write_batch(batch, words_);
  group_->order(kForward, words_);
  own_->forward(batch);
}

void LeadingModel::order_rows(int32_t kind, std::span<const int64_t> rows) {
  words_.assign(rows.begin(), rows.end());
  group_->order(kind, words_);
}

ConstTensor LeadingModel::logits(std::span<const int64_t> rows) {
  order_rows(kLogits, rows);
  return own_->logits(rows);
}

void LeadingModel::queue_draw(std::span<const int64_t> rows,
                              std::span<const std::optional<ops::DrawRow>> how) {
  if (!rows.empty()) order_rows(draws() ? kDraw : kLogits, rows);
  own_->queue_draw(rows, how);
}

void LeadingModel::order_copies(int32_t kind, std::span<const model::PageCopy> copies) {
  words_.clear();
  for (const model::PageCopy& copy : copies) {
    words_.push_back(copy.page);
    words_.push_back(copy.host_page);
  }
  if (!copies.empty()) group_->order(kind, words_);
}

void LeadingModel::save_pages(std::span<const model::PageCopy> copies) {
  order_copies(kSavePages, copies);
  own_->save_pages(copies);
}

void LeadingModel::save_pages_beside(std::span<const model::PageCopy> copies) {
  order_copies(kSavePagesBeside, copies);
  own_->save_pages_beside(copies);
}

void LeadingModel::load_pages(std::span<const model::PageCopy> copies) {
  order_copies(kLoadPages, copies);
  own_->load_pages(copies);
}

Result<void> follow(RankGroup& group, ModelRunner& own) {
  Follower follower(own);
  std::vector<int32_t> words;
  int32_t kind = kDone;
  while (group.take_order(follower.max_words(), kind, words) && kind != kDone) {
    TRY(follower.run(kind, words));
  }
  return {};
}

}  // namespace hachi::engine
