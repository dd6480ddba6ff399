//! P11: an unknown user and a wrong password get the same bytes after the same time.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::peer::{Peer, address};
use super::scene::{Effort, InProcess, runtime, temporary_store};
use super::spoilt::{Flaw, Spoilt};
use super::table::Row;

/// Beyond it, two means are taken to differ (as dudect does; Reparaz and others, 2017).
pub(crate) const T_MAX: f64 = 4.5;

/// Of a hundred times the longest that are left out: what else the machine did.
pub(crate) const LEFT_OUT_PERCENT: usize = 5;

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let server = effort.serve(&["--plaintext", "--registration", "open"])?;
    let pairs = effort.pick(150, 1_000);
    let (t, mean_ms, different) = runtime.block_on(compare(server.address, pairs))?;

    let (store, _folder) = temporary_store()?;
    let early = InProcess::start(&runtime, Spoilt::with(store, Flaw::EarlyReturn))?;
    let (control_t, ..) = runtime.block_on(compare(early.address, 20))?;
    Ok(vec![Row {
        promise: "P11",
        what: "refusals of known and unknown users, by turns".to_owned(),
        tried: 2 * pairs as u64,
        failed: different + u64::from(t.abs() >= T_MAX),
        figure: format!("Welch t = {t:.2} (limit {T_MAX}), mean {mean_ms:.1} ms, equal bytes"),
        control: "an early return for unknown users, t",
        control_failed: if control_t.abs() >= T_MAX { control_t.abs() as u64 } else { 0 },
    }])
}

/// Refuses known and unknown users by turns; gives Welch's t, the mean in ms, and how many refusals had other bytes.
async fn compare(server: SocketAddr, pairs: usize) -> Result<(f64, f64, u64)> {
    for number in 0..pairs {
        let mut peer = Peer::plaintext(server, address(number)).await?.greeted().await?;
        peer.enter(&format!("known{number:05}"), None).await?;
    }
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let mut first = None;
    let mut different = 0;
    for number in 0..2 * pairs {
        let is_known = number % 2 == 0;
        let user = format!("{}{:05}", if is_known { "known" } else { "nobod" }, number / 2);
        // Each from a network of its own: the limiter has no say.
        let mut peer = Peer::plaintext(server, address(100_000 + number)).await?.greeted().await?;
        peer.send(&json!({"id": 1, "type": "login", "user": user, "password": "a wrong password"})).await?;
        let began = Instant::now();
        let refusal = peer.recv_payload().await?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        different += u64::from(*first.get_or_insert_with(|| refusal.clone()) != refusal);
        if is_known { known.push(took) } else { unknown.push(took) }
    }
    let limit = percentile(known.iter().chain(&unknown).copied().collect(), 100 - LEFT_OUT_PERCENT);
    known.retain(|took| *took <= limit);
    unknown.retain(|took| *took <= limit);
    Ok((welch_t(&known, &unknown), mean(&known), different))
}

/// The value that so many percent do not exceed.
pub(crate) fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len() * percent / 100).min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Welch's t for samples of different variance.
pub(crate) fn welch_t(a: &[f64], b: &[f64]) -> f64 {
    let variance_of_mean = |values: &[f64]| {
        let mean = mean(values);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        squares / (values.len() as f64 - 1.0) / values.len() as f64
    };
    (mean(a) - mean(b)) / (variance_of_mean(a) + variance_of_mean(b)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_samples_have_a_small_t_and_shifted_ones_a_large_one() {
        let sample = |shift: f64| (0..100).map(|at| f64::from(at % 10) + shift).collect::<Vec<_>>();
        assert!(welch_t(&sample(0.0), &sample(0.0)).abs() < 1e-9);
        assert!(welch_t(&sample(0.0), &sample(3.0)) < -T_MAX);
    }

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        assert_eq!(percentile((0..100).rev().map(f64::from).collect(), 99), 99.0);
        assert_eq!(percentile(vec![1.0], 99), 1.0);
    }
}
