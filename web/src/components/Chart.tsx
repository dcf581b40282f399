import { theme } from 'antd';
import { useEffect, useRef } from 'react';
import { useIsDark } from '../app/theme';
import { echarts, type EChartsCoreOption } from './charts';

/** A chart that follows theme and size. `label` says in words what it shows. */
export function Chart({ option, height = 240, label }: { option: EChartsCoreOption; height?: number; label: string }) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<echarts.ECharts>(null);
  const { token } = theme.useToken();
  const isDark = useIsDark();
  useEffect(() => {
    if (!place.current) return;
    const made = (chart.current = echarts.init(place.current, isDark ? 'dark' : undefined));
    const observer = new ResizeObserver(() => made.resize());
    observer.observe(place.current);
    return () => {
      observer.disconnect();
      made.dispose();
    };
  }, [isDark]);
  useEffect(() => {
    chart.current?.setOption(
      {
        animation: false,
        backgroundColor: 'transparent',
        color: [token.colorPrimary, token.colorSuccess, token.colorWarning, token.colorError, token.colorInfo, '#9775fa', '#20c997'],
        textStyle: { fontFamily: token.fontFamily },
        grid: { left: 48, right: 16, top: 32, bottom: 28 },
        legend: { top: 0, textStyle: { color: token.colorTextSecondary } },
        tooltip: { trigger: 'axis', confine: true },
        ...option,
      },
      { notMerge: true },
    );
  }, [option, token, isDark]);
  return <div ref={place} role="img" aria-label={label} style={{ height, minWidth: 0 }} />;
}
