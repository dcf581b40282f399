import { Modal, Typography } from 'antd';
import { useTranslation } from 'react-i18next';
import { VIEWS } from './nav';

export default function KeyMap({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const rows: [string[], string][] = [
    [['⌘K', 'Ctrl K'], t('keys.palette')],
    [['?'], t('keys.help')],
    [['.'], t('keys.pause')],
    [['/'], t('keys.search')],
    [['j', '↓'], t('keys.next')],
    [['k', '↑'], t('keys.previous')],
    [['Enter'], t('keys.open')],
    ...VIEWS.map(({ view, key }): [string[], string] => [[`g ${t('keys.then')} ${key}`], t('keys.go', { view: t(`nav.${view}`) })]),
  ];
  return (
    <Modal open title={t('keys.title')} onCancel={onClose} footer={null}>
      <table style={{ width: '100%' }}>
        <tbody>
          {rows.map(([keys, what]) => (
            <tr key={what}>
              <td style={{ padding: '4px 12px 4px 0', whiteSpace: 'nowrap' }}>{keys.map((key) => <Typography.Text keyboard key={key}>{key}</Typography.Text>)}</td>
              <td>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Modal>
  );
}
