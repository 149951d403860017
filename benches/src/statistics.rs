//! Medians, and ratios within a round: the only way two products are compared here.

/// The median; `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The median of `numerator / denominator` over the rounds that have both.
pub(crate) fn median_ratio(numerators: &[Option<f64>], denominators: &[Option<f64>]) -> Option<f64> {
    let ratios: Vec<f64> = numerators
        .iter()
        .zip(denominators)
        .filter_map(|(numerator, denominator)| Some((*numerator)? / (*denominator)?))
        .collect();
    median(&ratios)
}

/// The median of `minuend - subtrahend` over the rounds that have both.
pub(crate) fn median_difference(minuends: &[Option<f64>], subtrahends: &[Option<f64>]) -> Option<f64> {
    let differences: Vec<f64> = minuends
        .iter()
        .zip(subtrahends)
        .filter_map(|(minuend, subtrahend)| Some((*minuend)? - (*subtrahend)?))
        .collect();
    median(&differences)
}

/// The values that are there.
pub(crate) fn present(values: &[Option<f64>]) -> Vec<f64> {
    values.iter().flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[f64::NAN, 7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_skip_missing_ones() {
        // The machine was twice as slow in the second round: the ratio does not see it.
        let ours = [Some(200.0), Some(100.0), Some(220.0), None];
        let theirs = [Some(100.0), Some(50.0), None, Some(1.0)];
        assert_eq!(median_ratio(&ours, &theirs), Some(2.0));
        assert_eq!(median_ratio(&ours, &[None; 4]), None);
        assert_eq!(median_difference(&ours, &theirs), Some(75.0));
    }
}
