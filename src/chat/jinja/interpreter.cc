#include "chat/jinja/interpreter.h"

#include <algorithm>

namespace hachi::chat::jinja {

void Scope::set(std::string_view name, Value value) {
  const auto found = std::find_if(variables_.begin(), variables_.end(),
                                  [&](const auto& variable) { return variable.first == name; });
  if (found != variables_.end()) {
    found->second = std::move(value);
  } else {
    variables_.emplace_back(name, std::move(value));
  }
}

Result<const Value*> Scope::find(Budget& budget, std::string_view name) const {
  for (const Scope* scope = this; scope; scope = scope->around_) {
    TRY(budget.spend_steps(scope->variables_.size() / 16));
    for (const auto& [key, value] : scope->variables_) {
      if (key == name) return &value;
    }
  }
  return nullptr;
}

Result<void> Interpreter::Level::enter() {
  if (interpreter_.depth_ > kMaxRunDepth) {
    return fail(Code::kLimit, "the template recurses deeper than {} levels", kMaxRunDepth);
  }
  return interpreter_.runtime_.budget.spend_steps(1);
}

Result<Text> Interpreter::run(const Template& program) {
  TextBuilder out(runtime_.budget);
  out_ = &out;
  auto flow = run_body(program.body, *globals_);
  auto text = flow ? out.finish_text() : tl::unexpected<Error>(std::move(flow).error());
  if (!text) return fail(text.error().code, "line {}: {}", line_, text.error().message);
  return text;
}

Result<Interpreter::Flow> Interpreter::run_body(const Body& body, Scope& scope) {
  for (const auto& statement : body) {
    TRY(const Flow flow, run_statement(*statement, scope));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::run_statement(const Statement& statement, Scope& scope) {
  Level level(*this);
  line_ = statement.line;
  TRY(level.enter());
  return std::visit([&](const auto& node) { return run_node(node, scope); }, statement.node);
}

Result<Interpreter::Flow> Interpreter::run_node(const TextStatement& node, Scope&) {
  out_->append(*node.text);
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::run_node(const PrintStatement& node, Scope& scope) {
  TRY(const Value value, evaluate(*node.value, scope));
  TRY(print(runtime_.budget, *out_, value));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::run_node(const IfStatement& node, Scope& scope) {
  for (const auto& [condition, body] : node.branches) {
    TRY(const Value value, evaluate(*condition, scope));
    if (value.truth()) return run_body(body, scope);
  }
  return run_body(node.otherwise, scope);
}

Result<ListPtr> Interpreter::loop_items(const ForStatement& node, const Scope& scope) {
  TRY(const Value iterable, evaluate(*node.iterable, scope));
  TRY(ListPtr all, elements(runtime_.budget, iterable));
  if (!node.filter) return all;
  std::vector<Value> kept;
  for (const Value& item : all->items) {
    Scope inner(&scope);
    TRY(assign(node.target, item, inner));
    TRY(const Value keep, evaluate(*node.filter, inner));
    if (keep.truth()) kept.push_back(item);
  }
  TRY(const Value list, list_value(runtime_.budget, std::move(kept)));
  return *list.get<ListPtr>();
}

Result<Interpreter::Flow> Interpreter::run_node(const ForStatement& node, Scope& scope) {
  TRY(const ListPtr items, loop_items(node, scope));
  if (items->items.empty()) {
    Scope inner(&scope);
    return run_body(node.otherwise, inner);
  }
  const auto loop = std::make_shared<Loop>(Loop{items});
  for (; loop->index0 < items->items.size(); ++loop->index0) {
    TRY(runtime_.budget.spend_steps(1));
    Scope inner(&scope);
    inner.set("loop", LoopPtr(loop));
    TRY(assign(node.target, items->items[loop->index0], inner));
    TRY(const Flow flow, run_body(node.body, inner));
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNext;
}

Result<void> Interpreter::assign(const Target& target, Value value, Scope& scope) {
  if (!target.attribute.empty()) {
    TRY(const Value* owner, scope.find(runtime_.budget, target.names[0]));
    Namespace* const* space = owner ? owner->get<Namespace*>() : nullptr;
    if (!space) {
      return fail(Code::kInvalidArgument, "cannot set \"{}.{}\": \"{}\" is not a namespace",
                  target.names[0], target.attribute, target.names[0]);
    }
    auto& attributes = (*space)->attributes;
    TRY(runtime_.budget.spend_steps(attributes.size() / 16));
    const auto found = std::find_if(attributes.begin(), attributes.end(),
                                    [&](const auto& a) { return a.first == target.attribute; });
    if (found != attributes.end()) {
      found->second = std::move(value);
    } else {
      attributes.emplace_back(target.attribute, std::move(value));
    }
    return {};
  }
  if (!target.unpacks) {
    scope.set(target.names[0], std::move(value));
    return {};
  }
  TRY(require_defined(value));
  TRY(const ListPtr parts, elements(runtime_.budget, value));
  if (parts->items.size() != target.names.size()) {
    return fail(Code::kInvalidArgument, "cannot unpack {} values into {} names",
                parts->items.size(), target.names.size());
  }
  for (size_t i = 0; i < target.names.size(); ++i) scope.set(target.names[i], parts->items[i]);
  return {};
}

Result<Interpreter::Flow> Interpreter::run_node(const SetStatement& node, Scope& scope) {
  TRY(Value value, evaluate(*node.value, scope));
  TRY(assign(node.target, std::move(value), scope));
  return Flow::kNext;
}

Result<std::pair<Value, Interpreter::Flow>> Interpreter::capture(const Body& body,
                                                                 const ExprPtr& value,
                                                                 Scope& scope) {
  TextBuilder captured(runtime_.budget);
  TextBuilder* const outer = std::exchange(out_, &captured);
  Scope inner(&scope);
  auto flow = run_body(body, inner);
  out_ = outer;
  if (!flow) return tl::unexpected<Error>(std::move(flow).error());
  TRY(TextPtr text, captured.finish());
  body_ = std::move(text);
  TRY(Value filtered, evaluate(*value, scope));
  return std::pair(std::move(filtered), *flow);
}

Result<Interpreter::Flow> Interpreter::run_node(const SetBlockStatement& node, Scope& scope) {
  TRY(auto captured, capture(node.body, node.value, scope));
  TRY(assign(node.target, std::move(captured.first), scope));
  return captured.second;
}

Result<Interpreter::Flow> Interpreter::run_node(const FilterBlockStatement& node, Scope& scope) {
  TRY(const auto captured, capture(node.body, node.value, scope));
  TRY(print(runtime_.budget, *out_, captured.first));
  return captured.second;
}

Result<Interpreter::Flow> Interpreter::run_node(const WithStatement& node, Scope& scope) {
  Scope inner(&scope);
  for (const auto& [target, expr] : node.assignments) {
    TRY(Value value, evaluate(*expr, scope));
    TRY(assign(target, std::move(value), inner));
  }
  return run_body(node.body, inner);
}

Result<Interpreter::Flow> Interpreter::run_node(const Macro& node, Scope& scope) {
  scope.set(node.name,
            FunctionPtr(std::make_shared<const Function>(Function{node.name, &node, nullptr, {}})));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::run_node(const BreakStatement&, Scope&) {
  return Flow::kBreak;
}

Result<Interpreter::Flow> Interpreter::run_node(const ContinueStatement&, Scope&) {
  return Flow::kContinue;
}

}  // namespace hachi::chat::jinja
