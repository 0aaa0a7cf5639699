#include <array>
#include <string_view>

#include "cli/load_prompts.h"

namespace hachi::cli {
namespace {

constexpr std::string_view kText =
    "that with from this have your their they will which more other about were also part them "
    "into these some when time under there than over know people like year such been help what "
    "would need work import most many used only first child system learn where could should well "
    "every high world even form sign just make years data call then result those each effect "
    "while during found count long after return read using lead fact test life very being find "
    "right person back both follow does much main before level study great start good might "
    "school within class often around made said show same power design again small allow care "
    "less down take human treat state called point number build play though body must plan common "
    "want three cell pass method known real public still change better hand report place list "
    "feel light become energy open mean keep others best direct create home proper stand move "
    "among mark look things type large think group means rest here based area family object early "
    "focus access last turn risk making print impact period case since local head post along "
    "value order occur come text across cost times areas cause able view major course model else "
    "hard line tool future role until second works always exist levels step given strong little "
    "range ways book next flow four short past space amount free later author says needs words "
    "give paper kind mind having field begin parent expect appear issues upon types enough likely "
    "record days makes away ever going left path higher full sure never side term unique groups "
    "above event least sound near modern really rather became reason nature loss cases detail "
    "size hold lower comes meet global word simple regard city single source either once seen "
    "house done team file fail engine online live fall needed action idea sent quick reduce "
    "target break soft color ensure rights mass parts seem values port entire share rate came "
    "stress clear below image whole events taken music avoid adult states taking tell allows "
    "review cannot site five check tools except doing clean itself sense week remain weight offer "
    "true accept matter black bring took feed terms select months forms almost shows half recent "
    "claim thing simply commit link close sleep easy extra enjoy ideas built aware issue longer "
    "stop models points slow behind media books code ones user uses custom adapt takes stay "
    "caused normal write inside causes policy basic answer safe input late page talk exact shape "
    "visit cross shown beyond force poll series lack quite theory cover pack output inform visual "
    "easily base host search gain tree lines active larger added table images prior speak friend "
    "steps thus soon spirit video offers named rules places foot refer agree trying final held "
    "asked trees seems card legal rich front whose highly third useful raise reach device obtain "
    "labor costs memory fair load went length choose fast speed status symbol supply room lost "
    "wide shared bound block users carry stage trust tests news graph limit date solar fields "
    "laws center items trade depend root apply ";

}  // namespace

const LoadWords& load_words() {
  static const LoadWords words = [] {
    LoadWords split;
    std::string_view text = kText;
    for (std::string_view& word : split) {
      const size_t end = text.find(' ');
      word = text.substr(0, end);
      text.remove_prefix(end + 1);
    }
    return split;
  }();
  return words;
}

}  // namespace hachi::cli
