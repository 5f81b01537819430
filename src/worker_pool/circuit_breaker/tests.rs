//! The contract of the circuit breaker, and a model of it that speaks of the contract alone.

use proptest::prelude::*;

use super::*;

const COOLDOWN: Duration = Duration::from_millis(5_000);
const START: Duration = Duration::from_secs(60);

fn breaker() -> CircuitBreaker {
    CircuitBreaker::new(CircuitSettings::default())
}

fn run(breaker: &mut CircuitBreaker, verdicts: &[Verdict], now: Duration) {
    for verdict in verdicts {
        let pass = breaker.admit(now).expect("a closed circuit");
        breaker.settle(pass, *verdict, now);
    }
}

fn opened() -> CircuitBreaker {
    let mut breaker = breaker();
    run(&mut breaker, &[Verdict::Failure; 10], START);
    assert_eq!(breaker.state(), CircuitState::Open);
    breaker
}

#[test]
fn the_tenth_failure_in_a_row_opens_the_circuit() {
    let mut breaker = breaker();
    run(&mut breaker, &[Verdict::Failure; 9], START);
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert_eq!(breaker.failures_in_a_row(), 9);
    run(&mut breaker, &[Verdict::Failure], START);
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.retry_after(START), COOLDOWN);
}

#[test]
fn a_success_ends_the_row_and_a_call_that_vanished_does_not() {
    let mut breaker = breaker();
    run(&mut breaker, &[Verdict::Failure; 9], START);
    run(&mut breaker, &[Verdict::Success], START);
    assert_eq!(breaker.failures_in_a_row(), 0);
    run(&mut breaker, &[Verdict::Failure; 9], START);
    run(&mut breaker, &[Verdict::Unknown; 3], START);
    assert_eq!(breaker.state(), CircuitState::Closed);
    run(&mut breaker, &[Verdict::Failure], START);
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[test]
fn an_open_circuit_rejects_until_the_cooldown_is_over_to_the_nanosecond() {
    let mut breaker = opened();
    let last_moment = START + COOLDOWN - Duration::from_nanos(1);
    for (now, left) in [(START, COOLDOWN), (last_moment, Duration::from_nanos(1))] {
        let rejected = breaker.admit(now).expect_err("still open");
        assert_eq!(rejected.retry_after, left);
    }
    assert!(breaker.admit(START + COOLDOWN).is_ok());
}

#[test]
fn a_half_open_circuit_lets_one_trial_through_for_as_long_as_a_cooldown() {
    let mut breaker = opened();
    let now = START + COOLDOWN;
    let trial = breaker.admit(now).expect("the trial");
    assert!(trial.is_trial());
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    let last_moment = now + COOLDOWN - Duration::from_nanos(1);
    for (now, left) in [(now, COOLDOWN), (last_moment, Duration::from_nanos(1))] {
        let rejected = breaker.admit(now).expect_err("a trial is out");
        assert_eq!(rejected.retry_after, left);
    }
    breaker.settle(trial, Verdict::Success, now);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn a_trial_that_does_not_end_gives_way_to_another_and_whichever_ends_first_decides() {
    for (verdict, state) in [
        (Verdict::Success, CircuitState::Closed),
        (Verdict::Failure, CircuitState::Open),
    ] {
        for first_decides in [true, false] {
            let mut breaker = opened();
            let now = START + COOLDOWN;
            let first = breaker.admit(now).expect("the trial");
            let now = now + COOLDOWN;
            let second = breaker.admit(now).expect("another trial");
            assert!(second.is_trial());
            assert!(breaker.admit(now).is_err());
            let decides = if first_decides { first } else { second };
            breaker.settle(decides, verdict, now);
            assert_eq!(breaker.state(), state);
        }
    }
}

#[test]
fn a_trial_that_fails_opens_the_circuit_for_another_cooldown() {
    let mut breaker = opened();
    let now = START + COOLDOWN;
    let trial = breaker.admit(now).expect("the trial");
    breaker.settle(trial, Verdict::Failure, now);
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.retry_after(now), COOLDOWN);
}

#[test]
fn a_trial_that_vanishes_leaves_its_slot_to_the_next_call() {
    let mut breaker = opened();
    let now = START + COOLDOWN;
    let trial = breaker.admit(now).expect("the trial");
    breaker.settle(trial, Verdict::Unknown, now);
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    assert!(breaker.admit(now).expect("another trial").is_trial());
}

#[test]
fn calls_from_before_the_opening_neither_close_nor_open_the_circuit() {
    let mut breaker = breaker();
    let old: Vec<_> = (0..30)
        .map(|_| breaker.admit(START).expect("closed"))
        .collect();
    let mut old = old.into_iter();
    run(&mut breaker, &[Verdict::Failure; 10], START);
    let mut late = |breaker: &mut CircuitBreaker, verdict, now| {
        let pass = old.next().expect("an old pass");
        let before = breaker.state();
        breaker.settle(pass, verdict, now);
        assert_eq!(breaker.state(), before);
    };
    let now = START + COOLDOWN;
    late(&mut breaker, Verdict::Success, START);
    late(&mut breaker, Verdict::Failure, START + COOLDOWN / 2);
    let trial = breaker
        .admit(now)
        .expect("a cooldown that was not prolonged");
    late(&mut breaker, Verdict::Success, now);
    late(&mut breaker, Verdict::Failure, now);
    late(&mut breaker, Verdict::Unknown, now);
    assert!(breaker.admit(now).is_err(), "the trial is still out");
    breaker.settle(trial, Verdict::Success, now);
    for _ in 0..20 {
        late(&mut breaker, Verdict::Failure, now);
    }
    assert_eq!(breaker.failures_in_a_row(), 0);
}

#[test]
fn a_trial_that_proves_itself_closes_the_circuit_before_it_ends() {
    let mut breaker = opened();
    let now = START + COOLDOWN;
    let mut trial = breaker.admit(now).expect("the trial");
    breaker.prove(&mut trial);
    assert_eq!(breaker.state(), CircuitState::Closed);
    breaker.settle(trial, Verdict::Failure, now);
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert_eq!(breaker.failures_in_a_row(), 1);
}

#[test]
fn a_reset_closes_the_circuit_and_forgets_what_is_under_way() {
    let mut breaker = opened();
    let now = START + COOLDOWN;
    let trial = breaker.admit(now).expect("the trial");
    breaker.reset();
    assert_eq!(breaker.state(), CircuitState::Closed);
    breaker.settle(trial, Verdict::Failure, now);
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert_eq!(breaker.failures_in_a_row(), 0);
}

#[test]
fn a_breaker_of_zero_failures_never_opens() {
    let mut breaker = CircuitBreaker::new(CircuitSettings::new(0, 5_000));
    run(&mut breaker, &[Verdict::Failure; 100], START);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn a_cooldown_beyond_all_time_overflows_nothing() {
    let mut breaker = CircuitBreaker::new(CircuitSettings::new(1, u64::MAX));
    run(&mut breaker, &[Verdict::Failure], Duration::MAX);
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[derive(Clone, Debug)]
enum Step {
    Admit,
    Settle(prop::sample::Index, Verdict),
    Advance(u64),
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![
        2 => Just(Verdict::Success),
        5 => Just(Verdict::Failure),
        1 => Just(Verdict::Unknown),
    ];
    prop_oneof![
        8 => Just(Step::Admit),
        8 => (any::<prop::sample::Index>(), verdict).prop_map(|(i, v)| Step::Settle(i, v)),
        3 => (0..150_u64).prop_map(Step::Advance),
        1 => Just(Step::Reset),
    ]
}

proptest! {
    /// Whatever happens in whatever order: the circuit opens after exactly the row of failures, lets nobody through
    /// during the cooldown and one in each cooldown after it, and never gets stuck.
    #[test]
    fn no_history_breaks_the_rules(
        failures_to_open in 1..4_u32,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let cooldown = Duration::from_millis(100);
        let settings = CircuitSettings::new(failures_to_open, 100);
        let mut breaker = CircuitBreaker::new(settings);
        let mut now = Duration::ZERO;
        // The model: all that the contract speaks of, kept apart from the states.
        let mut row = 0;
        let mut rejects_until = None;
        let mut epoch = 0;
        let mut out: Vec<(Pass, u32)> = Vec::new();
        for step in steps {
            match step {
                Step::Advance(ms) => now += Duration::from_millis(ms),
                Step::Reset => {
                    breaker.reset();
                    (row, rejects_until) = (0, None);
                    epoch += 1;
                }
                Step::Admit => {
                    let admitted = breaker.admit(now);
                    match rejects_until {
                        None => prop_assert!(!admitted.as_ref().is_ok_and(Pass::is_trial)),
                        Some(until) => {
                            prop_assert_eq!(admitted.is_ok(), now >= until);
                            if now >= until {
                                rejects_until = Some(now + cooldown);
                            }
                        }
                    }
                    match admitted {
                        Ok(pass) => out.push((pass, epoch)),
                        Err(_) => prop_assert!(rejects_until.is_some()),
                    }
                }
                Step::Settle(which, verdict) if !out.is_empty() => {
                    let (pass, of) = out.swap_remove(which.index(out.len()));
                    breaker.settle(pass, verdict, now);
                    if of == epoch {
                        let was_trial = rejects_until.is_some();
                        match verdict {
                            Verdict::Success => (row, rejects_until) = (0, None),
                            Verdict::Failure => {
                                row += 1;
                                if was_trial || row == failures_to_open {
                                    (row, rejects_until) = (0, Some(now + cooldown));
                                    epoch += 1;
                                }
                            }
                            Verdict::Unknown => rejects_until = rejects_until.map(|_| now),
                        }
                    }
                }
                Step::Settle(..) => {}
            }
            prop_assert_eq!(breaker.failures_in_a_row(), row);
            let closed = breaker.state() == CircuitState::Closed;
            prop_assert_eq!(closed, rejects_until.is_none());
        }
        // However it stands: when all calls are back and the cooldown is over, calls get through again.
        for (pass, _) in out {
            breaker.settle(pass, Verdict::Unknown, now);
        }
        prop_assert!(breaker.admit(now + cooldown).is_ok());
    }
}
