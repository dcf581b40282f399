import { useQuery } from '@tanstack/react-query';
import { Card, Space, Tag, Typography } from 'antd';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { getPlugins, type PluginShown } from '../../api/gen';
import { useLive } from '../../app/refresh';
import { EmptyState, Loaded } from '../../components/basics';
import { DataTable } from '../../components/DataTable';
import { Section } from './parts';

const COLOR = { active: 'success', off: 'gold', broken: 'error', refused: 'error' } as const;

export default function Plugins() {
  const { t } = useTranslation('settings');
  const query = useQuery({ queryKey: ['plugins'], queryFn: ({ signal }) => body(getPlugins({ signal, throwOnError: true })), ...useLive(10) });
  return (
    <Section title={t('section.plugins')} sub={t('plugins.sub')}>
      <Card size="small" styles={{ body: { padding: 0 } }}>
        <Loaded query={query}>
          {({ items }) => items.length === 0 ? <EmptyState title={t('plugins.none')} hint={t('plugins.noneHint')} /> : (
            <DataTable<PluginShown>
              size="small"
              rowKey={({ kind, name, target }) => `${kind} ${name} ${target}`}
              dataSource={items}
              pagination={false}
              scroll={{ x: 760 }}
              columns={[
                { title: t('plugins.name'), render: (_, { name, target }) => <div><strong>{name}</strong><br /><Typography.Text type="secondary" className="mono">{target}</Typography.Text></div> },
                { title: t('plugins.kind'), width: 130, render: (_, { kind }) => t(`plugins.kinds.${kind}`) },
                { title: t('plugins.package'), width: 180, render: (_, { package: name, version }) => name ? `${name} ${version ?? ''}` : '–' },
                { title: t('plugins.state'), width: 120, render: (_, { state }) => <Tag color={COLOR[state]}>{t(`plugins.states.${state}`)}</Tag> },
                { title: t('plugins.faults'), width: 220, render: (_, { problem, faults }) => <Space wrap size={4}>{problem && <Typography.Text type="danger">{problem}</Typography.Text>}{Object.entries(faults).filter(([, count]) => count > 0).map(([kind, count]) => <Tag key={kind} color="gold">{kind}: {count}</Tag>)}{!problem && !Object.values(faults).some(Boolean) && '–'}</Space> },
              ]}
            />
          )}
        </Loaded>
      </Card>
    </Section>
  );
}
