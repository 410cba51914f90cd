//! Curves as SVG.

use crate::measure::Spread;
use anyhow::{Result, anyhow};
use plotters::{
    coord::ranged1d::{AsRangedCoord, ValueFormatter},
    prelude::*,
};
use std::path::Path;

const SIZE: (u32, u32) = (880, 480);

/// Some curves in one picture.
pub(crate) struct Plot {
    /// What is counted from left to right. Its scale is logarithmic.
    pub(crate) x: &'static str,
    /// What is counted upwards, from 0.
    pub(crate) y: &'static str,
    /// The curves.
    pub(crate) curves: Vec<Curve>,
}

/// A curve: its name and its points.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, Spread)>,
}

impl Plot {
    /// Draws it into a file.
    pub(crate) fn draw(&self, title: &str, file: &Path) -> Result<()> {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let most = |of: fn(&(f64, Spread)) -> f64| points().map(of).fold(0.0, f64::max);
        let (right, top) = (most(|(x, _)| *x), most(|(_, y)| y.max));
        let left = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
        // A scale of few steps is told by each of them.
        if right <= 16.0 * left {
            self.draw_in(left..right, title, top, file)
        } else {
            self.draw_in((left..right).log_scale(), title, top, file)
        }
    }

    fn draw_in<X>(&self, x: X, title: &str, top: f64, file: &Path) -> Result<()>
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
    {
        let failed = |error: &dyn std::fmt::Display| anyhow!("can't draw {title:?}: {error}");
        let area = SVGBackend::new(file, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|e| failed(&e))?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(60)
            .build_cartesian_2d(x, 0.0..top * 1.08)
            .map_err(|e| failed(&e))?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .light_line_style(TRANSPARENT)
            .draw()
            .map_err(|e| failed(&e))?;
        for (i, curve) in self.curves.iter().enumerate() {
            let colour = Palette99::pick(i).to_rgba();
            let line = curve.points.iter().map(|(x, y)| (*x, y.median));
            chart
                .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))
                .map_err(|e| failed(&e))?
                .label(curve.name.clone())
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2))
                });
            let dots = line.map(|at| Circle::new(at, 3, colour.filled()));
            chart.draw_series(dots).map_err(|e| failed(&e))?;
            // From the least to the most that was measured.
            let ranges = curve.points.iter().map(|(x, y)| {
                PathElement::new([(*x, y.min), (*x, y.max)], colour.mix(0.4).stroke_width(1))
            });
            chart.draw_series(ranges).map_err(|e| failed(&e))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()
            .map_err(|e| failed(&e))?;
        area.present().map_err(|e| failed(&e))
    }
}
