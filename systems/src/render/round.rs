//! Pictures with round corners.

use bevy_ecs::prelude::*;
use raster::Raster;

/// Cuts the corners of a picture's layer round, in layer pixels. On layers that systems make; written by whoever makes them.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct Rounded(pub f32);

/// A picture with round corners of `radius` pixels; itself without a radius.
pub(super) fn rounded(raster: Raster, radius: f32) -> Option<Raster> {
    if radius <= 0.0 {
        return Some(raster);
    }
    let (width, height) = (raster.width(), raster.height());
    let mut data = raster.data().to_vec();
    round_corners(&mut data, width, height, radius);
    Raster::from_rgba8_premultiplied(width, height, data).ok()
}

/// Takes what lies outside of round corners off premultiplied RGBA8 pixels, anti-aliased; `radius` is in their pixels.
fn round_corners(data: &mut [u8], width: u32, height: u32, radius: f32) {
    let (half_width, half_height) = (width as f32 / 2.0, height as f32 / 2.0);
    let radius = radius.min(half_width).min(half_height);
    if radius <= 0.0 {
        return;
    }
    for (index, pixel) in data.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let (x, y) = (index as u32 % width, index as u32 / width);
        // From the middle of the nearest corner's circle to that of the pixel.
        let over_x = (x as f32 + 0.5 - half_width).abs() - (half_width - radius);
        let over_y = (y as f32 + 0.5 - half_height).abs() - (half_height - radius);
        if over_x <= 0.0 || over_y <= 0.0 {
            continue;
        }
        let distance = (over_x * over_x + over_y * over_y).sqrt();
        let cover = (radius - distance + 0.5).clamp(0.0, 1.0);
        let cover = (cover * 255.0).round() as u32;
        for channel in pixel {
            let product = u32::from(*channel) * cover + 128;
            *channel = ((product + (product >> 8)) >> 8) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_becomes_a_disc_with_a_soft_edge() {
        let mut data = vec![255; 40 * 40 * 4];
        round_corners(&mut data, 40, 40, 20.0);
        let alpha = |x: usize, y: usize| data[(y * 40 + x) * 4 + 3];
        assert_eq!((alpha(0, 0), alpha(20, 20)), (0, 255));
        assert!(alpha(20, 0) > 250, "{}", alpha(20, 0));
        let sum: u32 = data.iter().step_by(4).map(|value| u32::from(*value)).sum();
        let area = sum as f32 / 255.0;
        assert!(
            (area - 20.0 * 20.0 * std::f32::consts::PI).abs() < 4.0,
            "{area}"
        );
        assert!(data.iter().any(|value| (1..255).contains(value)));
    }
}
