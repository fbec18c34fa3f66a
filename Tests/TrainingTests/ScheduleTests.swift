import Foundation
import Testing
import Torch
import Training

@Suite struct ScheduleTests {
  @Test func valuesByHand() {
    let linear = Schedule(.linear, learningRate: 1).with {
      ($0.minimum, $0.warmup, $0.warmupStart) = (0.2, .steps(4), 0.5)
    }
    let expected = [0.5, 0.625, 0.75, 0.875, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    for (step, rate) in expected.enumerated() {
      #expect(abs(linear.learningRate(at: step, of: 12) - rate) < 1e-12, "step \(step)")
    }
    let cosine = Schedule(.cosine, learningRate: 2)
    for (step, rate) in [(0, 2.0), (2, 1.5), (3, 1.0), (4, 0.5), (6, 0)] {
      #expect(abs(cosine.learningRate(at: step, of: 6) - rate) < 1e-12, "step \(step)")
    }
    let constant = Schedule(.constant, learningRate: 3).with {
      ($0.warmup, $0.warmupStart) = (.share(0.2), 0)
    }
    #expect([0, 1, 2, 9].map { constant.learningRate(at: $0, of: 10) } == [0, 1.5, 3, 3])
  }

  @Test func stepDropsAtMilestonesOrIntervals() {
    let milestones = Schedule(.step, learningRate: 8).with {
      ($0.factor, $0.milestones) = (0.5, [.steps(2), .share(0.5)])
    }
    #expect((0..<8).map { milestones.learningRate(at: $0, of: 8) } == [8, 8, 4, 4, 2, 2, 2, 2])
    let regular = Schedule(.step, learningRate: 8).with {
      ($0.factor, $0.interval, $0.minimum) = (0.5, .steps(2), 1.5)
    }
    #expect((0..<8).map { regular.learningRate(at: $0, of: 8) } == [8, 8, 4, 4, 2, 2, 1.5, 1.5])
  }

  @Test(arguments: Schedule.Name.allCases)
  func risesDuringWarmUpThenNeverAgain(_ name: Schedule.Name) {
    let schedule = Schedule(name, learningRate: 0.1).with {
      ($0.minimum, $0.warmup) = (1e-4, .share(0.1))
    }
    let rates = (0..<200).map { schedule.learningRate(at: $0, of: 200) }
    #expect(rates[0] > 0)
    #expect(rates[20] == 0.1)
    for step in 1..<200 {
      let (a, b) = (rates[step - 1], rates[step])
      #expect(step <= 20 ? a < b : a >= b, "step \(step)")
      #expect(step < 20 || b >= 1e-4)
    }
    #expect(name == .constant || rates[199] < 0.02)
  }

  @Test(arguments: Schedule.Name.allCases) func anyStepHasARate(_ name: Schedule.Name) {
    for warmup in [StepCount.zero, .steps(1_000_000_000), .share(0.999)] {
      let schedule = Schedule(name, learningRate: 1).with { $0.warmup = warmup }
      for (step, total) in [(0, 0), (-5, 10), (10, 10), (Int.max, 10), (3, 1), (5, -1)] {
        let rate = schedule.learningRate(at: step, of: total)
        #expect(rate >= 0 && rate <= 1, "\(name), warm-up \(warmup), step \(step) of \(total)")
      }
    }
  }

  @Test func stepCountsAreStepsOrShares() throws {
    #expect(try StepCount(parsing: "500") == .steps(500))
    #expect(try StepCount(parsing: "0.05") == .share(0.05))
    #expect(StepCount.share(0.05).count(of: 110) == 6)
    #expect(StepCount.steps(500).count(of: 10) == 500)
    #expect(StepCount.zero.count(of: 10) == 0)
    for text in ["", "-1", "1.5", "nan", "inf", "1e300", "ten"] {
      #expect(throws: MingleError.self, "\(text)") { try StepCount(parsing: text) }
    }
  }

  @Test func configurationsAreSavedAndCompleted() throws {
    let json = """
      {"name": "step", "learning_rate": 0.5, "warmup": 0.1, "milestones": [100, 0.75]}
      """
    let schedule = try JSONDecoder().decode(Schedule.self, from: Data(json.utf8))
    let expected = Schedule(.step, learningRate: 0.5).with {
      ($0.warmup, $0.milestones) = (.share(0.1), [.steps(100), .share(0.75)])
    }
    #expect(schedule == expected)
    let again = try JSONDecoder().decode(Schedule.self, from: JSONEncoder().encode(schedule))
    #expect(again == schedule)
    let bad = #"{"name": "linear", "learning_rate": 1, "warmup": -3}"#
    #expect(throws: MingleError.self) {
      try JSONDecoder().decode(Schedule.self, from: Data(bad.utf8))
    }
  }

  @Test func impossibleSettingsAreErrors() {
    let good = Schedule(.cosine, learningRate: 0.1)
    #expect(throws: Never.self) { try good.validate() }
    let bad: [(Schedule, String)] = [
      (good.with { $0.learningRate = 0 }, "learning_rate"),
      (good.with { $0.learningRate = .nan }, "learning_rate"),
      (good.with { $0.minimum = 0.2 }, "minimum"),
      (good.with { $0.warmupStart = 2 }, "warmup_start"),
      (good.with { $0.factor = 0 }, "factor"),
    ]
    for (schedule, field) in bad {
      #expect(mingleError { try schedule.validate() }?.what.contains(field) == true)
    }
  }
}
