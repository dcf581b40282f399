import { Progress, theme, Typography } from 'antd';

/** How much of a limit is used. */
export function Gauge({ label, value, limit, text }: { label: string; value: number; limit: number | null; text: string }) {
  const { token } = theme.useToken();
  const percent = limit ? Math.min(100, (value / limit) * 100) : 0;
  return (
    <div style={{ minWidth: 0 }}>
      <div style={{ display: 'flex', justifyContent: 'space-between', gap: 8 }}>
        <Typography.Text type="secondary" ellipsis>{label}</Typography.Text>
        <span className="num" style={{ whiteSpace: 'nowrap' }}>{text}</span>
      </div>
      <Progress percent={percent} size="small" showInfo={false} status="normal" strokeColor={percent >= 95 ? token.colorWarning : token.colorPrimary} aria-label={label} style={{ margin: 0 }} />
    </div>
  );
}
