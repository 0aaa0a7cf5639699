// Which rank a process is, by its variables.
#include <map>

#include <gtest/gtest.h>

#include "cli/ranks.h"

namespace hachi::cli {
namespace {

Result<std::optional<engine::RankPlace>> place(int size,
                                               const std::map<std::string, std::string>& set) {
  return find_place(size, [&](const char* name) {
    const auto found = set.find(name);
    return found != set.end() ? std::optional(found->second) : std::nullopt;
  });
}

TEST(RankPlace, IsNoneWhereNobodyStartedRanks) {
  const auto none = place(2, {});
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  // A batch job of one task starts the others itself.
  const auto job = place(2, {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "1"}});
  ASSERT_TRUE(job);
  EXPECT_FALSE(*job);
}

TEST(RankPlace, IsWhatPlainVariablesSay) {
  const auto found = place(4, {{"HACHI_RANK", "3"},
                               {"HACHI_WORLD_SIZE", "4"},
                               {"HACHI_LOCAL_RANK", "1"},
                               {"HACHI_MASTER", "first:4000"},
                               {"HACHI_KEY", "k"},
                               {"OMPI_COMM_WORLD_RANK", "0"}});
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_TRUE(*found);
  EXPECT_EQ((*found)->rank, 3);
  EXPECT_EQ((*found)->size, 4);
  EXPECT_EQ((*found)->local_rank, 1);
  EXPECT_EQ((*found)->host, "first");
  EXPECT_EQ((*found)->port, 4000);
  EXPECT_EQ((*found)->key, "k");
}

TEST(RankPlace, IsWhatOpenMpiAndSlurmSay) {
  std::map<std::string, std::string> mpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                                            {"OMPI_COMM_WORLD_SIZE", "2"},
                                            {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                            {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  const auto here = place(2, mpi);
  ASSERT_TRUE(here && *here);
  EXPECT_EQ((*here)->host, "127.0.0.1");
  mpi["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1";
  const auto elsewhere = place(2, mpi);
  ASSERT_FALSE(elsewhere);
  EXPECT_NE(elsewhere.error().message.find("HACHI_MASTER"), std::string::npos);
  mpi["HACHI_MASTER"] = "[fd00::1]:77";
  const auto given = place(2, mpi);
  ASSERT_TRUE(given && *given);
  EXPECT_EQ((*given)->host, "fd00::1");
  EXPECT_EQ((*given)->port, 77);
  const auto slurm = place(16, {{"SLURM_PROCID", "9"},
                                {"SLURM_NTASKS", "16"},
                                {"SLURM_LOCALID", "1"},
                                {"SLURM_JOB_ID", "20123"},
                                {"SLURM_STEP_NODELIST", "gpu[07-08]"}});
  ASSERT_TRUE(slurm && *slurm);
  EXPECT_EQ((*slurm)->host, "gpu07");
  EXPECT_EQ((*slurm)->port, 20123);
}

TEST(RankPlace, RefusesWhatDoesNotFit) {
  const auto other = place(2, {{"HACHI_RANK", "0"}, {"HACHI_WORLD_SIZE", "4"}});
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("there are 4"), std::string::npos);
  std::map<std::string, std::string> set = {{"HACHI_RANK", "2"},
                                            {"HACHI_WORLD_SIZE", "2"},
                                            {"HACHI_LOCAL_RANK", "0"},
                                            {"HACHI_MASTER", "here:1"}};
  EXPECT_FALSE(place(2, set));
  set["HACHI_RANK"] = "1";
  EXPECT_TRUE(place(2, set));
  for (const char* master : {"here:0", "here:x", ":1", "here:70000", ""}) {
    set["HACHI_MASTER"] = master;
    EXPECT_FALSE(place(2, set)) << master;
  }
}

TEST(FirstNode, IsTheFirstOfALists) {
  EXPECT_EQ(first_node("node1"), "node1");
  EXPECT_EQ(first_node("node1,node2"), "node1");
  EXPECT_EQ(first_node("node[03-05,9],other"), "node03");
  EXPECT_EQ(first_node("a[1,4]-ib,b"), "a1-ib");
  EXPECT_EQ(first_node("login,node[1-2]"), "login");
}

}  // namespace
}  // namespace hachi::cli
