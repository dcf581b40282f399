import { useMemo } from 'react';
import { encode } from 'uqr';

const QUIET = 4;

/** A QR code: dark on white also in the dark theme, for cameras want it so. */
export function Qr({ text, label, size = 200 }: { text: string; label: string; size?: number }) {
  const { side, path } = useMemo(() => {
    const { data } = encode(text, { ecc: 'M', border: QUIET });
    const squares = data.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`M${x} ${y}h1v1h-1z`] : [])));
    return { side: data.length, path: squares.join('') };
  }, [text]);
  return (
    <svg role="img" aria-label={label} width={size} height={size} viewBox={`0 0 ${side} ${side}`} shapeRendering="crispEdges" style={{ borderRadius: 6, maxWidth: '100%' }}>
      <rect width={side} height={side} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
