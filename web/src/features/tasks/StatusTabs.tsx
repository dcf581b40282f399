import { theme } from 'antd';
import { useTranslation } from 'react-i18next';
import { STATUSES, type Status } from '../../components/status';
import { useFormat } from '../../components/format';

/** Counts by status, to go by. */
export function StatusTabs({ counts, chosen, onChoose }: { counts: Record<string, number> | undefined; chosen: Status[] | undefined; onChoose: (statuses: Status[] | undefined) => void }) {
  const { t } = useTranslation('tasks');
  const { t: words } = useTranslation();
  const format = useFormat();
  const { token } = theme.useToken();
  const total = counts ? Object.values(counts).reduce((sum, one) => sum + one, 0) : undefined;
  const tab = (key: string, label: string, count: number | undefined, isOn: boolean, choose: () => void) => (
    <button
      key={key}
      type="button"
      aria-pressed={isOn}
      onClick={choose}
      style={{
        font: 'inherit', cursor: 'pointer', padding: '6px 10px', borderRadius: 6, whiteSpace: 'nowrap', color: isOn ? token.colorText : token.colorTextSecondary,
        border: `1px solid ${isOn ? token.colorPrimary : 'transparent'}`, background: isOn ? token.controlItemBgActive : 'transparent',
      }}
    >
      {label} <span className="num" style={{ fontWeight: 600, marginInlineStart: 4 }}>{count === undefined ? '·' : format.compact(count)}</span>
    </button>
  );
  return (
    <div role="group" aria-label={t('column.status')} tabIndex={-1} style={{ display: 'flex', gap: 2, overflowX: 'auto', marginBottom: 10 }}>
      {tab('all', t('all'), total, !chosen, () => onChoose(undefined))}
      {STATUSES.map((status) => tab(status, words(`status.${status}`), counts && (counts[status] ?? 0), chosen?.includes(status) ?? false, () => onChoose(chosen?.length === 1 && chosen[0] === status ? undefined : [status])))}
    </div>
  );
}
