import { DeleteOutlined, DownloadOutlined, SaveOutlined, SettingOutlined, StarOutlined } from '@ant-design/icons';
import { App, Button, Checkbox, Dropdown, Input, Popover, Space, Typography } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { problemOf } from '../../api/problem';
import { download } from '../../api/download';
import { COLUMNS, type ColumnName } from './columns';
import { paramsOf, queryOf, type TaskFilter } from './filter';
import { removeView, savedViews, saveView, type SavedView } from './views';

function SavedViews({ filter }: { filter: TaskFilter }) {
  const { t } = useTranslation('tasks');
  const { t: words } = useTranslation();
  const [views, setViews] = useState(savedViews);
  const [name, setName] = useState('');
  const [gone, setGone] = useState<SavedView>();
  const save = () => {
    if (!name.trim()) return;
    setViews(saveView({ name: name.trim(), query: paramsOf(filter).toString() }));
    setName('');
    setGone(undefined);
  };
  return (
    <Space orientation="vertical" style={{ width: 'min(280px, 56vw)' }}>
      {views.length === 0 && <Typography.Text type="secondary">{t('views.none')}</Typography.Text>}
      {views.map((view) => (
        <div key={view.name} style={{ display: 'flex', justifyContent: 'space-between', alignItems: 'center' }}>
          <Link to={`/tasks?${view.query}`}>{view.name}</Link>
          <Button type="text" size="small" aria-label={t('views.remove', { name: view.name })} icon={<DeleteOutlined />} onClick={() => { setViews(removeView(view.name)); setGone(view); }} />
        </div>
      ))}
      <div role="status">
        {gone && (
          <Typography.Text type="secondary">
            {t('views.removed', { name: gone.name })} <Button type="link" size="small" onClick={() => { setViews(saveView(gone)); setGone(undefined); }}>{words('action.undo')}</Button>
          </Typography.Text>
        )}
      </div>
      <Space.Compact style={{ width: '100%' }}>
        <Input aria-label={t('views.name')} placeholder={t('views.name')} value={name} maxLength={60} onChange={(event) => setName(event.target.value)} onPressEnter={save} />
        <Button icon={<SaveOutlined />} onClick={save} disabled={!name.trim()} aria-label={t('views.save')} />
      </Space.Compact>
    </Space>
  );
}

/** `onShown` is missing where the columns are what there is room for. */
export function Toolbar({ filter, shown, onShown }: { filter: TaskFilter; shown: readonly ColumnName[]; onShown: ((columns: ColumnName[]) => void) | undefined }) {
  const { t } = useTranslation('tasks');
  const { message } = App.useApp();
  const save = (format: 'csv' | 'ndjson') =>
    download('/api/v1/tasks/export', { ...queryOf(filter), format }, `tasks.${format}`).catch((error: unknown) => void message.error(problemOf(error).message));
  return (
    <Space wrap>
      <Popover trigger="click" placement="bottomRight" content={<SavedViews filter={filter} />}>
        <Button icon={<StarOutlined />}>{t('views.label')}</Button>
      </Popover>
      {onShown && <Popover
        trigger="click"
        placement="bottomRight"
        content={
          <Checkbox.Group
            style={{ flexDirection: 'column', gap: 4 }}
            value={[...shown]}
            onChange={(chosen) => onShown(COLUMNS.filter((name) => chosen.includes(name)))}
            options={COLUMNS.map((name) => ({ value: name, label: t(`column.${name}`), disabled: name === 'id' }))}
          />
        }
      >
        <Button icon={<SettingOutlined />}>{t('columns')}</Button>
      </Popover>}
      <Dropdown trigger={['click']} menu={{ items: (['csv', 'ndjson'] as const).map((key) => ({ key, label: t(`export.${key}`), title: t('export.hint'), onClick: () => void save(key) })) }}>
        <Button icon={<DownloadOutlined />}>{t('export.label')}</Button>
      </Dropdown>
    </Space>
  );
}
